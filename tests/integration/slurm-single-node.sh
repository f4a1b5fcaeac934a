#!/usr/bin/env bash
# A real SLURM of one node on this machine, for the tests marked `slurm`. Needs root, and Debian's slurm-wlm and munge.
# Usage: slurm-single-node.sh install | start | stop
set -euo pipefail
dir=/tmp/slurm-single-node
case "${1:-}" in
  install)
    command -v slurmctld munged srun >/dev/null && exit 0
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slurm-wlm munge >/dev/null ;;
  start)
    if sinfo -h >/dev/null 2>&1; then echo "SLURM is up"; exit 0; fi
    host=$(hostname -s)
    memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
    mkdir -p "$dir/ctld" "$dir/d" /run/munge /etc/slurm
    chown munge:munge /run/munge
    # cred_expire is also how long a requeued job waits before it starts again.
    cat > /etc/slurm/slurm.conf <<CONF
ClusterName=single
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=5
StateSaveLocation=$dir/ctld
SlurmdSpoolDir=$dir/d
SlurmctldPidFile=$dir/ctld.pid
SlurmdPidFile=$dir/d.pid
SlurmctldLogFile=$dir/ctld.log
SlurmdLogFile=$dir/d.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=5,sched_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
KillWait=5
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(getconf _NPROCESSORS_ONLN) RealMemory=$memory State=UNKNOWN
PartitionName=local Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
    [ -e /etc/munge/munge.key ] || mungekey --create
    pgrep -x munged >/dev/null || setsid runuser -u munge -- munged
    setsid slurmctld
    setsid slurmd
    for _ in $(seq 30); do
      if sinfo -h -t idle,mix,alloc 2>/dev/null | grep -q local; then echo "SLURM is up"; exit 0; fi
      sleep 1
    done
    echo "SLURM did not come up; see $dir/*.log" >&2
    exit 1 ;;
  stop)
    for pid in "$dir/d.pid" "$dir/ctld.pid"; do [ ! -e "$pid" ] || kill "$(cat "$pid")" || true; done ;;
  *) echo "usage: $0 install | start | stop" >&2; exit 2 ;;
esac
