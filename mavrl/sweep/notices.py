"""Notices for people who watch, to a webhook in Slack's format. The terminal shows the same anyway."""

import logging

from omegaconf import DictConfig

from mavrl.secrets import masked_text

log = logging.getLogger(__name__)

_PATIENCE = 5  # seconds that a webhook may take to answer


class Notices:
    """Where notices go. A webhook that does not answer is warned of, and ends nothing.

    Args:
        url: address of an incoming webhook; None posts nothing.
    """

    def __init__(self, url: str | None) -> None:
        self._url = url

    @classmethod
    def from_config(cls, config: DictConfig) -> "Notices":
        """Notices to the address in `notify.url`."""
        return cls(config.notify.url)

    def post(self, text: str) -> None:
        """Send a text to the webhook, if there is one."""
        if self._url is None:
            return
        from slack_sdk.webhook import WebhookClient

        try:
            answer = WebhookClient(self._url, timeout=_PATIENCE).send(text=text)
        except Exception as error:  # whatever goes wrong on the way
            log.warning("notice not sent (%s): %s", masked_text(str(error)), text)
            return
        if answer.status_code != 200:
            log.warning("notice refused (%s %s): %s", answer.status_code, answer.body, text)
