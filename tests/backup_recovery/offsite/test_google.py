"""An off-site store on Google Cloud Storage: its XML interface is that of S3 but for signatures, so moto serves it."""

import json
from collections.abc import Iterator

import obstore.store
import pytest

from peak_observe.backup_recovery import RetentionPolicy
from peak_observe.backup_recovery.offsite.offsite import OffsiteStore
from peak_observe.errors import StoreError

from .servers import Faulty, bucket, moto


class Google(Faulty):
    """Server in front of moto that lets requests pass which nobody has signed."""

    def forward(self, handler, body: bytes):
        """Return moto's answer."""
        del handler.headers["Authorization"]
        handler.headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request"
        return super().forward(handler, body)


@pytest.fixture
def google(away, tmp_path, monkeypatch) -> Iterator[Google]:
    """Return a server to which an account in the environment leads, as on a host of Google's customers."""
    with moto() as behind:
        bucket(behind, "bucket")
        front = Google(behind)
        nobody = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        account = tmp_path / "account.json"
        account.write_text(json.dumps({"gcs_base_url": front.address, "disable_oauth": True, **nobody}))
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(account))
        opened = obstore.store.from_url

        def unencrypted(url: str, *, client_options: dict, **more: object) -> object:
            return opened(url, client_options={**client_options, "allow_http": True}, **more)

        monkeypatch.setattr(obstore.store, "from_url", unencrypted)
        yield front
        front.close()


def test_backup_comes_back(away, google, tmp_path) -> None:
    """Init, push, list, verify, drill, restore and prune work as in a folder, below the prefix alone."""
    given = {"recipients": [away.recipient], "repository": away.manager.backup_root, "host": "bot1"}
    store = OffsiteStore("gs://bucket/some/prefix", retry_timeout=1.0, **given)
    store.init()
    store.push(away.manager.create_backup())
    away.program.write(away.program.data / "more.csv", "more")
    store.push(away.manager.create_backup())
    assert [report.ok for report in store.verify(all_=True, identity=away.identity)] == [True, True]
    assert store.drill(identity=away.identity).ok
    store.restore(identity=away.identity, restore_to=tmp_path / "out")
    assert (tmp_path / "out" / "data" / "data" / "more.csv").read_text() == "more"
    assert len(store.prune(RetentionPolicy(last=1)).by_host["bot1"].remove) == 1
    assert len(store.backups()[0]) == 1
    assert all("prefix=some%2Fprefix" in path or "/some%2Fprefix%2F" in path for _, path in google.seen)


@pytest.mark.parametrize(("url", "option"), [("gs://bucket/bot", "endpoint"), ("az://box/bot", "region")])
def test_option_of_another_provider_is_named(away, url: str, option: str) -> None:
    """What means nothing to a store is told by its name."""
    store = OffsiteStore(url, repository=away.manager.backup_root, **{option: "http://127.0.0.1:1"})
    with pytest.raises(StoreError, match=f"{option} means nothing to {url[:5]}: leave it out"):
        store.init(identity=away.identity)
