"""A table of secrets against all ways by which a text leaves the process, and a table of texts that have to stay."""

import base64
import json
import logging
import pickle
import time
from types import SimpleNamespace
from urllib.parse import quote, quote_plus

import pytest
from opentelemetry import trace

import peak_observe
from peak_observe import CircuitBreaker, HealthCheck, Policy, bulkhead, rate_limit, retry_with_backoff
from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.errors import BackupError, ConfigError, LoadError, UsageError
from peak_observe.events import GaveUp, HealthChanged, RetryScheduled, Transition
from peak_observe.exporter.logs import LineFormatter
from peak_observe.exporter.web import status_page, status_tables
from peak_observe.resilience.health.http import answers
from peak_observe.resilience.health.result import HealthCheckResult
from peak_observe.support.loggers import logger
from peak_observe.support.redact import clean, redact_data
from peak_observe.support.secret_names import is_secret
from peak_observe.support.secret_values import KNOWN
from peak_observe.support.shown import shown
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.telemetry.tracing.log_events import as_record

S = "xK9fQ2vB7mZ4tR8w"
"""The part of each text that must not be seen anywhere."""

TELEGRAM = f"123456789:AAE{S}abcdefghij_klmnop"
PEM = f"-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE{S}\n{S}AoGBAL\n-----END EC PRIVATE KEY-----"
URL = "Max retries exceeded with url: "

SECRETS = [
    # tokens in the path of an address
    f"POST https://api.telegram.org/bot{TELEGRAM}/sendMessage 404",
    f"HTTPSConnectionPool(host='api.telegram.org', port=443): {URL}/bot{TELEGRAM}/sendMessage (Caused by X)",
    f"api.telegram.org/bot{TELEGRAM}/getMe",
    f"the bot {TELEGRAM} was stopped",
    f"https://api.telegram.org/bot{quote(TELEGRAM)}/sendMessage",
    f"https://hooks.slack.com/services/T01ABCDEF/B02ABCDEF/{S}",
    f"hooks.slack.com/services/T01ABCDEF/B02ABCDEF/{S}",
    f"{URL}/services/T01ABCDEF/B02ABCDEF/{S}",
    f"https://discord.com/api/webhooks/1234567890/{S}-abc_def",
    f"{URL}/api/webhooks/1234567890/{S} (Caused by NewConnectionError)",
    f"https://outlook.webhook.office.com/webhookb2/1-2@3/IncomingWebhook/{S}/4",
    f"https://hooks.zapier.com/hooks/catch/123456/{S}/",
    f"https://maker.ifttt.com/trigger/alarm/with/key/{S}",
    f"https://events.pagerduty.com/integration/{S}/enqueue",
    f"https://hc-ping.com/{S}/fail",
    f"https://mainnet.infura.io/v3/{S}{S}",
    f"wss://eth-mainnet.g.alchemy.com/v2/{S}-{S}",
    f"https://uptime.example.com/api/push/{S}?status=up",
    # query strings, with and without a scheme
    f"GET https://api.kraken.com/0/private/Balance?nonce=1&signature={S}",
    f"{URL}/api/v3/order?timestamp=1&signature={S} (Caused by X)",
    f"api.binance.com/api/v3/order?apiKey={S}",
    f"see /api?recvWindow=5000&signature={S}",
    f"https://x.example/cb#access_token={S}",
    # users and passwords in addresses
    f"https://bob:{S}@exchange.example/api",
    f"https://{S}@sentry.example/42",
    f"rest:https://bob:p@{S}@nas/repo",
    f"postgres://bob:a/b?c#{S}@db.example/bot",
    f"connect bob:{S}@nas:5432 refused",
    f"redis://:{S}@127.0.0.1:6379/0",
    # fields by their names
    f"private_key={S}",
    f"access_key: {S}",
    f"sig={S}&x=1",
    f"pwd: {S}",
    f"PGPASSWORD={S} psql",
    f"dbpassword = {S}",
    f"listenKey={S}",
    f"clientSecret: '{S}'",
    f"sessionid={S}; path=/",
    f"aws_secret_access_key = {S}",
    f"credentials: {S}",
    f"mypassword=p,a;{S}",
    f"nonce: 17{S}",
    # headers
    f"X-MBX-APIKEY: {S}",
    f"{{'OK-ACCESS-SIGN': '{S}=', 'OK-ACCESS-PASSPHRASE': '{S}'}}",
    f"KC-API-PASSPHRASE: one two {S} four",
    f"CB-ACCESS-KEY: {S}",
    f"Cookie: theme=dark; session={S}",
    f"Set-Cookie: a=1; sid={S}; Path=/",
    f"Authorization: Token {S}",
    f"Authorization: Bearer {S}",
    f'Authorization: Digest username="bob", response="{S}"',
    f"proxy-authorization: {S} {S}",
    f"curl -H 'Authorization: Token {S}' https://x.example",
    f"[(b'authorization', b'Basic {S}'), (b'host', b'x')]",
    f"('X-API-KEY', '{S}')",
    # structured texts
    f'{{"apiKey": "{S}", "symbol": "BTC/USD"}}',
    f'{{\\"apiKey\\": \\"{S}\\", \\"x\\": 1}}',
    json.dumps(json.dumps(json.dumps({"secret": S}))),
    f'{{"passphrase": "correct horse {S} staple"}}',
    f"passphrase: correct horse {S} staple",
    f"<apiKey>{S}</apiKey>",
    f"&quot;apiKey&quot;:&quot;{S}&quot;",
    f"api%5Fkey={S}&x=1",
    f"body=url%3Fapi_key%3D{S}%26x%3D1",
    f"%257B%2522secret%2522%253A%2522{S}%2522%257D",
    f"{{\\u0022apiKey\\u0022\\u003a\\u0022{S}\\u0022}}",
    f"--api-key {S} --verbose",
    f"['bot', '--password', '{S}']",
    f"headers['X-API-KEY'] = '{S}'",
    f"api_key:\n  {S}",
    f"- name: API_SECRET\n  value: {S}",
    f'{{"name": "X-API-KEY", "value": "{S}"}}',
    f"auth=('bob', '{S}') cookies={{'a': '{S}'}}",
    f"curl -u bob:{S} https://x.example",
    f"your api key is {S}",
    # known by their form alone
    PEM,
    PEM.replace("\n", "\\n"),
    quote(PEM),
    f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{S}",
    f"key ghp_{S}{S} expired",
    f"xoxb-123456789012-{S}",
    f"sk_live_{S}{S}",
    f"glsa_{S}{S}_1",
    f"AGE-SECRET-KEY-1{S.upper()}QQQQQQQQQQQQ".replace(S.upper(), S.upper()),
    f"vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy{S}4y7J",
    f"\x1b[31mapi_key={S}\x1b[0m",
    f"api_\u202ekey={S}",
    f"se\u200bcret={S}",
    f"auth=BasicAuth('bob','{S}')",
    f'<add key="ApiSecret" value="{S}"/>',
    f"Invalid API key provided: {S}",
    f"https://bob:my {S}@nas.example/x",
]

KINDS = [
    # tokens with the prefix of their issuer
    f"glrt-{S}{S}",
    f"whsec_{S}{S}",
    f"hf_{S}{S}ab",
    f"dckr_pat_{S}{S}",
    f"GOCSPX-{S}{S}",
    f"NRAK-{S.upper()}{S.upper()}",
    f"$argon2id$v=19$m=65536,t=3,p=4${S}${S}{S}",
    # addresses
    f"https:\\/\\/bob:{S}@h.example\\/x",
    f"https://bob:'{S}'@h.example/x",
    f"https://n8n.example/webhook-test/{S[:8]}-{S}",
    # a name and a value, written otherwise
    f"password: |\n  {S}\n",
    f"password: &anchor {S}",
    f'api_key = """{S}"""',
    f'"api_key"\n:\n"{S}"',
    f"secret[0]={S}",
    f"apiKey -> {S}",
    f"apiKey|{S}",
    f"api_key:\n{S}",
    f"seed = {S}",
    f'--api-secret "a {S}"',
    f"mysqldump -ubob -p{S} trades",
    f"password '{S}' rejected",
    f"login bob password {S}",
    f"ALTER USER bob IDENTIFIED BY '{S}'",
    f"AUTH default {S}",
    f"the password is {S[:8]}",
    f"private key b'\\x9f{S}' is too short",
    f"docker login -u bob -p {S}",
    f"Cookie: a=1\r\n b={S}",
    f"Secret Key ............ {S}",
    f"login('bob', '{S}')",
    f"apiKey=Secret('{S}', hidden=True)",
    f"<entry name='token'>{S}</entry>",
    f"<ns:password type='x'><![CDATA[{S}]]></ns:password>",
    f'Content-Disposition: form-data; name="password"\r\n\r\n{S}\r\n--x',
    # names that a reader sees and a search does not
    f"pass\ufeffword={S}",
    f"api_key\u00a0=\u00a0{S}",
    f"\uff41\uff50\uff49\uff3f\uff4b\uff45\uff59\uff1a{S}",
    f"\u201capiKey\u201d: \u201c{S}\u201d",
    f"api_key\x1b[0m=\x1b[33m{S}",
    f"\x1b]8;;https://bob:{S}@h\x1b\\text\x1b]8;;\x1b\\",
]

STAYS = [
    "kraken GET https://api.kraken.com/0/public/Ticker 503 Service Unavailable",
    'kraken {"error":["EAPI:Invalid nonce: bad nonce"]}',
    "Invalid signature: wrong",
    "the token: revoked by its owner",
    "Invalid API-key: disabled",
    "Invalid passphrase: does not match",
    '{"authError": "Signature expired at the gateway"}',
    "HTTP 401: authorization: missing header",
    "keyboard=us monkey: banana design=flat author: Bob signal=buy hockey=1 turkey: 2 passive=1 assigned: 3",
    "KeyError: 'symbol'",
    "InvalidOrder: order OQCLML-BW3P3-BUCMWZ not found",
    "order 5bd6e9286d99522a52e458de filled at 2026-11-28T09:55:02.123Z, price 40000.5",
    "client order id x-R4BD3S82e9a7c1d2b3f4 of BTC/USDT:USDT-261225-90000-C",
    "DELETE https://api.kucoin.com/api/v1/orders/5bd6e9286d99522a52e458de 404",
    "https://api.exchange.coinbase.com/orders/68e6a28f-ae28-4788-8d4f-5ab4e5e5ae08",
    "trace 4bf92f3577b34da6a3ce929d0e0e4736 span 00f067aa0ba902b7",
    "/home/bob/bots/grid/state.json: No such file or directory",
    "/srv/peak/backup_1700000000000000_20251128_101112_123456/manifest.json",
    "commit 789e5e6f0d3c4b5a69788796a5b4c3d2e1f00112",
    "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "tx 0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sent to 0xdAC17F958D2ee523a2206206994597C13D831ec7",
    "buy 0.5@30000 of BTC/USDT:USDT@okx at 12:30",
    "max_tokens=5 token_type: bearer key_file=/etc/ssl/key.pem apiKey: None",
    "https://fapi.binance.com/fapi/v1/openOrders 418",
    "Connection to 127.0.0.1:9090 refused",
    "image python:3.12@sha256:0123abcd",
    'binance requires "apiKey" credential',
    "what do you mean? yes=no",
    "the circuit 'binance' is open: 5 consecutive failures; next probe in 60.0 s; last error: TimeoutError",
    "http://127.0.0.1:8080/metrics and https://[::1]:8443/readyz",
    "see https://docs.example.com/guide/setting-up-the-exporter-in-containers.",
    "basic authentication failed, bearer authentication required",
    "550e8400-e29b-41d4-a716-446655440000",
    "größe 12 ✅ 取引所",
    'File "/home/bob/bot.py", line 12\n    key = config["x"]',
    "tokens: 3 left; passed: 3 failed: 2",
    '{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}',
    '{"code":-1022,"msg":"Signature for this request is not valid."}',
    "RuntimeError: Session is closed",
    "GET /api/v5/trade/orders-pending 200",
    "token 0xdAC17F958D2ee523a2206206994597C13D831ec7",
    "reverted with reason string 'Token: transfer amount exceeds balance'",
    "Access denied for user 'bot'@'10.0.0.3' (using password: YES)",
    "invalid nonce: 1700000000001 < 1700000000002",
    "auth: ok; random seed: 42",
    "mysql -h db -p 3306; docker run -p 8080:80 -u 1000:1000 image",
    "binance bybit kraken kucoin gate bitget deribit bitmex bitstamp gemini huobi phemex",
    "btc,eth,xrp,ltc,ada,sol,dot,bnb,trx,avax,link,uni",
    "position closed because stop loss price reached while market order waited under heavy load today",
    "Signature for order 5bd6e9286d99522a52e458de is not valid",
    "\u201eAnf\u00fchrung\u201c \u00abx\u00bb \u53d6\u5f15\uff1a\u6210\u529f \U0001f469\u200d\U0001f4bb",
    "",
]

PHRASE = [
    *("legal", "winner", "thank", "year", "wave", "sausage"),
    *("worth", "useful", "legal", "winner", "thank", "yellow"),
]


def ids(text: str) -> str:
    """Return a short name of a row."""
    return text[:40].encode("ascii", "replace").decode().replace("\n", " ")


def seen(text: str) -> bool:
    """Return whether a part of the secret of the table is in a text."""
    return any(S[at : at + 6].lower() in text.lower() for at in range(len(S) - 5))


class ExchangeError(Exception):
    """Somebody's exception."""


def events_of(text: str) -> list:
    """Return events that repeat a text, as name, as reason and as error."""
    error = ExchangeError(text)
    return [
        Transition("x", "closed", "open", text, SYSTEM_CLOCK.now(), 3.0, error),
        RetryScheduled("x", 1, 3, 1.0, error),
        GaveUp(text, 3, 2.0, "exhausted", error),
        HealthChanged("x", False, "unhealthy", SYSTEM_CLOCK.now(), text),
    ]


def test_the_table_is_as_long_as_promised() -> None:
    """And no row is there twice."""
    assert len(set(SECRETS)) == len(SECRETS) >= 60
    assert all(seen(text) for text in SECRETS)


RENDERER = Renderer()  # it keeps what it has made of the names before


@pytest.mark.parametrize("text", SECRETS, ids=ids)
class TestWaysOut:
    """Each secret, each way out."""

    def test_log(self, text, caplog) -> None:
        """Line, arguments, extras and traceback, as handlers of the program and the exporter's own write them."""
        with caplog.at_level(logging.DEBUG, "peak_observe"):
            for event in events_of(text):
                peak_observe._to_log(event)
            log = logger("peak_observe.test")
            try:
                raise ExchangeError(text)
            except ExchangeError as error:
                log.warning("%s: %s (%r)", text, error, [text], exc_info=True)
            log.warning(text)
            log.warning("%(x)s", {"x": text})
        assert len(caplog.records) == 7
        forms = [logging.Formatter(), LineFormatter("logfmt"), LineFormatter("json")]
        assert not seen("".join(form.format(record) for record in caplog.records for form in forms))
        assert not seen(repr([{**vars(record), "exc_info": None} for record in caplog.records]))
        assert not any("\x1b" in record.getMessage() or "\u202e" in record.getMessage() for record in caplog.records)

    def test_span(self, text, otel) -> None:
        """Name, attributes, status and events of spans, and log-based events."""

        @retry_with_backoff(max_attempts=2, base_delay=0, name=text)
        @CircuitBreaker(1, name=text)
        def send() -> None:
            raise ExchangeError(text)

        with (
            trace.get_tracer("test").start_as_current_span("around"),
            pytest.raises((ExchangeError, peak_observe.CircuitOpenError)),
        ):
            send()
        ours = [span for span in otel.spans if span.name != "around"]
        assert ours
        assert not seen("".join(span.to_json() for span in ours))
        assert otel.events
        assert not seen(repr([(event.event_name, event.body, dict(event.attributes)) for event in otel.events]))

    def test_event(self, text) -> None:
        """As records of OpenTelemetry."""
        assert not seen(repr([as_record(event) for event in events_of(text)]))

    def test_label(self, text) -> None:
        """The name of a circuit in `/metrics` of both formats."""
        CircuitBreaker(name=text)
        for openmetrics in (False, True):
            text = RENDERER.render(openmetrics=openmetrics, names={"peak_breaker_state"}).decode()
            assert "peak_breaker_state{" in text
            assert not seen(text)

    def test_page(self, text) -> None:
        """The status page of the exporter."""
        registry = HealthCheck()
        registry.register("raises", lambda: raising(text))
        registry.register("says", lambda: (False, text))
        results = registry.run_all()
        statuses = {"source": SimpleNamespace(up=False, problem=str(ConfigError("x", "y", text)), duration=0.1)}
        statuses["source"].last_success = 0.0
        tables = status_tables.tables([], results, statuses, {"source": redact_data(text)}, 1.0)
        assert not seen(status_page.document(tables, "now"))

    def test_readyz(self, text) -> None:
        """Message and details of checks over HTTP, and the results themselves."""
        registry = HealthCheck()
        registry.register("raises", lambda: raising(text))
        registry.register("says", lambda: (False, text, {"nested": [text, {"api_key": S}]}))
        registry.register("wrong", lambda: text)
        answer = answers(registry)
        assert not seen(repr([answer(path).body for path in ("/readyz?verbose", "/healthz?verbose", "/health")]))
        assert not seen(repr([result.to_dict() for result in registry.run_all().values()]))

    def test_exception_text(self, text) -> None:
        """Our own exceptions, whatever they repeat."""
        errors = [
            ConfigError("peak.toml", "source.x", text),
            LoadError("module", text),
            UsageError(text),
            BackupError(text),
            peak_observe.CircuitOpenError(text, 3.0, text),
            peak_observe.HeldBackError("x", 1.0, text),
        ]
        for make in (
            lambda: CircuitBreaker(failure_threshold=text),
            lambda: retry_with_backoff(max_attempts=text),
            lambda: HealthCheck().register("x", text),
        ):
            with pytest.raises((ValueError, TypeError)) as caught:
                make()
            errors.append(caught.value)
        assert not seen("".join(map(str, errors)))
        assert not seen(repr(errors))

    def test_repr(self, text) -> None:
        """Of events, errors, results and primitives."""
        found = [
            *events_of(text),
            peak_observe.CircuitOpenError(text),
            CircuitBreaker(name=text),
            bulkhead(3, name=text),
            rate_limit(3, name=text),
            Policy(retry_with_backoff(name=text), name=text),
            shown(text),
            shown({"nested": (text,)}),
        ]
        assert not seen(repr(found))


def raising(text: str) -> None:
    """Raise."""
    raise ExchangeError(text)


@pytest.mark.parametrize("text", STAYS, ids=ids)
def test_ordinary_texts_stay(text) -> None:
    """A log that says nothing helps nobody at night."""
    assert clean(text) == text


@pytest.mark.parametrize("text", KINDS, ids=ids)
def test_further_kinds_are_hidden(text) -> None:
    """By `clean`, through which all ways out of the table above lead."""
    assert seen(text)
    assert not seen(clean(text))


@pytest.mark.parametrize("separator", [" ", ", ", "', '", "\n", "\\n", "-", " 2. ", "  "])
@pytest.mark.parametrize("case", [str.lower, str.title, str.upper])
def test_recovery_phrases_are_known_by_their_words(separator, case) -> None:
    """However the words of a wallet are written; one of them may be misspelt, as the message about it says."""
    for words in (PHRASE, [*PHRASE[:4], "wawe", *PHRASE[5:]]):
        found = clean(f"'{separator.join(map(case, words))}' is no mnemonic")
        assert found == "'***' is no mnemonic"


@pytest.mark.parametrize(
    "key",
    [
        f"Keypair({[(7 * number) % 256 for number in range(64)]})",
        "SBCVMMCBEDB64TVJZFYJOJAERZC4YVVUOE6SYR2Y76CBTENGUSGWRRVO",
        "snoPBrXtMeMyMHUVTgbuqAfg1SUTb",
        "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5",
    ],
    ids=["numbers", "Stellar", "XRP Ledger", "Nostr"],
)
def test_private_keys_of_chains_are_known_by_their_form(key) -> None:
    """As in the message of a library that refuses one."""
    assert "***" in clean(f"cannot sign with {key} today")
    assert key[10:20] not in clean(f"cannot sign with {key} today")


def test_pairs_options_and_bytes_of_structured_data_are_hidden() -> None:
    """Lists of headers, variables of containers and command lines hold a name and its value apart."""
    found = redact_data(
        {
            b"X-API-KEY": S,
            "headers": [("apiKey", S), ("Host", "x")],
            "variable": {"name": "API_SECRET", "value": S},
            "command": ["bot", "--password", S, "--pair", "BTC/USD"],
        }
    )
    assert not seen(repr(found))
    assert found["headers"][1] == ["Host", "x"]
    assert found["command"][3:] == ["--pair", "BTC/USD"]


ESCAPES = "a\x1b[2J\x9b31m\x85\u2028\u2066\u200f\ufeff\ufe00\U000e0101\u3164\x00\r\x07b"


def test_no_text_steers_a_terminal() -> None:
    """Errors, records, the page and verbose answers show escapes and invisible letters by their codes."""
    registry = HealthCheck()
    registry.register(f"name {ESCAPES}\nforged", lambda: (False, ESCAPES))
    rows = {"x": HealthCheckResult("x", False, ESCAPES)}
    texts = [
        str(ConfigError(ESCAPES, ESCAPES, ESCAPES)),
        str(peak_observe.CircuitOpenError(ESCAPES, 3.0, ESCAPES)),
        repr(peak_observe.HeldBackError(ESCAPES, 1.0, ESCAPES)),
        repr(events_of(ESCAPES)),
        answers(registry)("/readyz?verbose").body.decode(),
        status_page.document(status_tables.tables([], rows, {}, {"x": ESCAPES}, 1.0), "now"),
    ]
    for text in texts:
        assert not {char for char in text if not char.isprintable() and char != "\n"}
        assert not set("\ufe00\U000e0101\u3164") & set(text) or "Transition(" in text
    assert "\nforged" not in texts[4]


VALUE = 'Kj8/sd+P0=x_"é\\q 3ZZtop&<7'


@pytest.mark.parametrize(
    "text",
    [
        VALUE,
        VALUE.lower(),
        VALUE.upper(),
        quote(VALUE),
        quote(VALUE, safe=""),
        quote_plus(VALUE),
        json.dumps(VALUE),
        json.dumps(VALUE, ensure_ascii=False),
        json.dumps(json.dumps(VALUE)),
        repr(VALUE),
        repr(VALUE.encode()),
        VALUE.encode().hex(),
        VALUE.encode().hex().upper(),
        *(base64.b64encode(b"user:"[:n] + VALUE.encode() + b":x").decode() for n in range(6)),
        *(base64.urlsafe_b64encode(b"user:"[:n] + VALUE.encode()).decode() for n in range(3)),
        *(VALUE[at : at + 8] for at in range(len(VALUE) - 7)),
    ],
)
def test_a_known_value_is_found_in_every_form(text) -> None:
    """Also in parts of eight characters, and between other words."""
    peak_observe.configure(secrets=[VALUE])
    found = clean(f"said ({text}) at 12:30")
    for at in range(len(text) - 7):
        part = text[at : at + 8]
        assert part not in found
    assert found.startswith("said (")
    assert found.endswith("at 12:30")


def test_a_short_value_is_hidden_where_it_stands_alone() -> None:
    """Its base64 form everywhere, as that is a part of no word."""
    peak_observe.configure(secrets=["p4s$"])
    assert clean("p4s$ (p4s$) xp4s$y") == "*** (***) xp4s$y"
    assert "cDRzJ" not in clean(base64.b64encode(b"p4s$").decode())


def test_a_passphrase_of_ordinary_words_leaves_them_readable() -> None:
    """Whole it is hidden; the word `exchange` alone gives nothing away."""
    peak_observe.configure(secrets=["secret of the exchange"])
    assert clean("ask the exchange for /api/v3/exchangeInfo") == "ask the exchange for /api/v3/exchangeInfo"
    assert clean("x secret of the exchange y") == "x *** y"


@pytest.mark.parametrize(
    ("secrets", "error", "message"),
    [
        ("abcdefgh", TypeError, "a list of texts, not one text"),
        ([None], TypeError, r"secrets\[0\] must be a text, not NoneType"),
        (["abcdefgh", "abc"], ValueError, r"secrets\[1\] has fewer than 4 characters"),
    ],
)
def test_what_cannot_be_a_secret_is_refused(secrets, error, message) -> None:
    """In one sentence that does not show it."""
    with pytest.raises(error, match=message) as caught:
        peak_observe.configure(secrets=secrets)
    assert "abc" not in str(caught.value)


def test_nothing_shows_what_was_learned() -> None:
    """No representation, no pickle, no dump of the module holds a value."""
    peak_observe.configure(secrets=[VALUE, "p4s$"])
    dump = repr(KNOWN) + repr([getattr(KNOWN, name) for name in KNOWN.__slots__])
    assert "Kj8" not in dump
    assert "p4s" not in dump
    with pytest.raises(TypeError, match="not written anywhere"):
        pickle.dumps(KNOWN)


def test_an_exchange_client_teaches_its_keys() -> None:
    """To all ways out, also those that know no exchange; a changed key is learned with the next error."""
    ccxt = pytest.importorskip("ccxt")
    exchange = peak_observe.instrument(ccxt.kraken({"apiKey": f"{S}/{S}", "secret": f"{S[::-1]}+{S}"}), "teacher")
    assert not seen(clean(f"backup failed: {S} {base64.b64encode(S.encode()).decode()}"))
    exchange.secret = "another0Secret9value"  # noqa: S105 - of no account
    exchange.log("anything")
    assert clean("xanother0Secret9valuex") == "x***x"


def test_what_rotates_is_forgotten_at_last(monkeypatch) -> None:
    """A session token an hour must not fill the memory; what the program named stays."""
    from peak_observe.support import secret_values

    monkeypatch.setattr(secret_values, "MOST", 1000)
    peak_observe.configure(secrets=["the0kept9secret"])
    for number in range(50):
        KNOWN.learn([f"session-{number:032x}"], kept=False)
    assert len(KNOWN) < 4000
    assert clean("the0kept9secret") == "***"
    assert clean(f"session-{49:032x}") == "***"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *dict.fromkeys(
            (
                "apiKey",
                "API-Sign",
                "X-MBX-APIKEY",
                "private_key",
                "accessKey",
                "sig",
                "pwd",
                "Cookie",
                "authToken",
                "secretkey",
                "dbpass",
                "listenKey",
                "sessionId",
                "client_secret",
                "privkey",
                "PGPASSWORD",
                "x-api-key",
                "twofa",
                "otp",
                "accesskeyid",
                "HMAC",
                "userpwd",
                "credential_value",
                "signature",
                "passphrase",
                "passwords",
                "session.token",
                "myApiKey2",
                "APIKEY",
            ),
            True,
        ).items(),
        *dict.fromkeys(
            (
                "keyboard",
                "monkey",
                "turkey",
                "design",
                "signal",
                "assign",
                "author",
                "passive",
                "compass",
                "bypass",
                "symbol",
                "hockey",
                "keypoint",
                "token_type",
                "key_file",
                "passed_count",
                "KeyError",
                "authMethod",
                "secretary",
                "max_tokens",
                "signal_key_count",
                "tokenizer",
                "possession",
                "nonces_seen_count",
                "keynote",
                "passport",
            ),
            False,
        ).items(),
    ],
)
def test_names_are_judged_by_their_words(name, secret) -> None:
    """A part of a word is no word."""
    assert is_secret(name) is secret


@pytest.mark.parametrize(
    "piece",
    [
        "x", "-", "a.", "token", "https://", "token: ", "%20", "'key': '", "{}", "a@", "eyJ", "bot1:", "abandon ",
        '\\"key\\": ', "-----BEGIN PRIVATE KEY-----", "Invalid nonce: too ", "\\u0022", "a/", "1.2/",
        "auth", "BasicAuth('", "legal, ", "mysql -p", "<a b>", "name=x\n", "://a:b ", "ab_cd_", "\x1b]8;;", "key()",
    ],
)  # fmt: skip
def test_time_grows_with_the_text(piece) -> None:
    """A quarter of a megabyte takes seconds at most, whatever is in it; minutes where time grew with its square."""
    peak_observe.configure(secrets=[VALUE])
    started = time.thread_time()
    clean(piece * (250_000 // len(piece)))
    assert time.thread_time() - started < 8


def test_labels_of_all_endpoints_stay() -> None:
    """What ccxt calls an endpoint holds no secret."""
    ccxt = pytest.importorskip("ccxt")
    for name in ("binance", "kraken", "okx", "bybit", "kucoin", "coinbase", "gate", "hyperliquid"):
        for path in paths(getattr(ccxt, name)().describe()["api"]):
            assert clean(f"POST private/{path}") == f"POST private/{path}"


def paths(node: object) -> list[str]:
    """Return the paths of ccxt's tree of an interface."""
    if isinstance(node, str):
        return [node]
    if isinstance(node, list):
        return [path for item in node for path in paths(item)]
    if isinstance(node, dict):
        return [
            path for key, item in node.items() for path in (paths(item) if isinstance(item, dict | list) else [key])
        ]
    return []


def test_a_result_made_by_hand_is_clean_on_the_page() -> None:
    """A message that passed no check's answer."""
    result = HealthCheckResult("x", False, f"apiKey={S}")
    assert not seen(status_page.document(status_tables.tables([], {"x": result}, {}, {}, 1.0), "now"))
