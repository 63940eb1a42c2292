"""The configuration: three layers, the last wins; everything that is wrong is told at once, with place and nearest key."""

import contextlib
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.kinds import (
    CommandProgram,
    ExecReadiness,
    HttpReadiness,
    Limits,
    NotifyReadiness,
    RestartType,
    StartedReadiness,
    StopSpec,
    TcpReadiness,
)
from foreman.errors import InvalidConfiguration
from foreman.node.configuration import Configuration, changes, load
from foreman.node.configuration.data_plane import link_params, listen_params
from foreman.node.configuration.keys import KEYS
from foreman.node.configuration.sections import SECTION_CLASSES

REDIS = """
[kinds.redis]
command = ["redis-server", "--unixsocket", "{run}/redis.sock", "--port", "0", "--dir", "{data}", "--supervised", "systemd"]
after   = ["log"]
ready   = "notify"
restart = "transient"
stop    = { signal = "TERM", grace = 10 }
limits  = { nofile = 4096, memory = "1GiB" }
watchdog = 10
"""


def _load(tmp_path: Path, text: str = "", environment: dict[str, str] | None = None, **flags: object) -> Configuration:
    (tmp_path / "foreman.toml").write_text(text)
    return load(environment=environment or {}, flags={f"node.{name}": value for name, value in flags.items()}, folder=tmp_path)


def _problems(tmp_path: Path, text: str = "", environment: dict[str, str] | None = None, **flags: object) -> list[str]:
    with pytest.raises(InvalidConfiguration) as error:
        _load(tmp_path, text, environment, **flags)
    return [problem.replace(f"{tmp_path}/", "") for problem in error.value.problems]


def test_the_table_has_no_holes() -> None:
    for section, kind in SECTION_CLASSES.items():
        assert [key.attribute for key in KEYS if key.section == section] == [field.name for field in dataclasses.fields(kind)]
    assert len({key.variable for key in KEYS}) == len(KEYS) == len({key.dotted for key in KEYS})
    for key in KEYS:
        assert key.sentence.endswith("."), key.dotted
        assert key.default is None or key.form.parse(str(key.default) if key.form.word == "path" else key.default) == key.default


def test_nothing_given_is_all_defaults(tmp_path: Path) -> None:
    configuration = load(environment={}, folder=tmp_path)
    assert configuration.file is None
    assert configuration.node.data == tmp_path / "foreman-data"
    assert all(configuration.origin(key.dotted) == "default" for key in KEYS)
    policy = configuration.supervision.restart_policy()
    assert (policy.backoff_base_s, policy.backoff_cap_s, policy.max_restarts, policy.window_s) == (0.1, 30.0, 10, 60.0)


def test_the_last_layer_wins_and_is_remembered(tmp_path: Path) -> None:
    text = "[node]\ncluster = 'from_file'\nname = 'file'\nfault_domain = 'rack-1'\ndata = 'd'\n"
    configuration = _load(tmp_path, text, {"FOREMAN_CLUSTER": "from_env", "FOREMAN_NAME": "env"}, cluster="from_flag")
    node = configuration.node
    assert (node.cluster, node.name, node.fault_domain, node.data) == ("from_flag", "env", "rack-1", tmp_path / "d")
    origins = [configuration.origin(f"node.{name}") for name in ("cluster", "name", "fault_domain", "listen")]
    assert origins == ["--cluster", "FOREMAN_NAME", f"{tmp_path}/foreman.toml:4", "default"]


def test_every_key_can_come_from_the_environment(tmp_path: Path) -> None:
    configuration = load(environment={"FOREMAN_SUPERVISION_BACKOFF_CAP": "1min", "FOREMAN_DISK_MIN_FREE": "2GiB"}, folder=tmp_path)
    assert configuration.supervision.backoff_cap_s == 60
    assert configuration.disk.min_free_bytes == 2 << 30


@pytest.mark.parametrize(
    ("raw", "seconds"), [("10", 10), ("10.5", 10.5), ('"10s"', 10), ('"500ms"', 0.5), ('"2 min"', 120), ('"1h"', 3600), ('"1d"', 86400)]
)
def test_durations_are_seconds_or_have_a_unit(tmp_path: Path, raw: str, seconds: float) -> None:
    assert _load(tmp_path, f"[supervision]\nstop_grace = {raw}").supervision.stop_grace_s == seconds


@pytest.mark.parametrize(
    ("raw", "size"), [("1048576", 1 << 20), ('"1GiB"', 1 << 30), ('"500MB"', 5 * 10**8), ('"1.5KiB"', 1536), ('"0"', 0)]
)
def test_sizes_are_bytes_or_have_a_unit(tmp_path: Path, raw: str, size: int) -> None:
    assert _load(tmp_path, f"[disk]\nmin_free = {raw}").disk.min_free_bytes == size


def test_everything_wrong_is_told_at_once_with_line_and_nearest_key(tmp_path: Path) -> None:
    text = """
[node]
clustr = "demo"
[supervision]
start_timeout = "soon"
max_restarts = -1
backoff = { base = 1, kap = 3 }
[dsk]
min_free = 1
[kinds.redis]
command = ["redis-server"]
redy = "notify"
stop = { signal = "TERMM" }
"""
    problems = _problems(tmp_path, text, {"FOREMAN_LISTN": "x"})
    expected = [
        ("foreman.toml:3: ", "did you mean node.cluster?"),
        ("foreman.toml:5: ", "'soon'"),
        ("foreman.toml:6: ", "max_restarts must be a whole number"),
        ("foreman.toml:7: ", "did you mean supervision.backoff.cap?"),
        ("foreman.toml:8: ", "did you mean [disk]?"),
        ("FOREMAN_LISTN: ", "did you mean FOREMAN_LISTEN?"),
        ("foreman.toml:12: ", "did you mean ready?"),
        ("foreman.toml:13: ", "TERMM"),
    ]
    assert len(problems) == len(expected)
    for problem, (place, said) in zip(problems, expected, strict=True):
        assert problem.startswith(place), problem
        assert said in problem


@pytest.mark.parametrize(
    "text",
    [
        "[node", "[node]\nx = ", "node = 3", "[[node]]", "kinds = 3", "[kinds]\nredis = 3", "[kinds.log]\ncommand = ['x']", "[kinds.redis]",
        "[kinds.'Bad Name']\ncommand = ['x']", "[kinds.r]\ncommand = 'x'", "[kinds.r]\ncommand = []", '[kinds.r]\ncommand = ["a\\u0000"]',
        "[kinds.r]\ncommand = ['x', '{dta}']", "[kinds.r]\ncommand = ['x']\nready = 'tcp:0'", "[kinds.r]\ncommand = ['x']\nready = 'exec:'",
        "[kinds.r]\ncommand = ['x']\nstop = { signal = 'KILL' }", "[kinds.r]\ncommand = ['x']\nstop = 3",
        "[kinds.r]\ncommand = ['x']\nlimits = { memory = 'much' }", "[kinds.r]\ncommand = ['x']\nrestart = 'always'",
        "[directory]\nurl = 'redis://x'", "[directory]\nurl = 'etcd://nowhere'", "[node]\nlisten = ['x']", "[node]\ncapabilities = [3]",
        "[node]\nlisten = ['127.0.0.1:1']", "[node]\nlisten = ['0.0.0.0:1']\ntoken_file = 't'", "[node]\ntls = { cert = 'c' }",
        "[node]\ntls = { client_ca = 'c' }", "[supervision]\nbackoff = { base = 9, cap = 1 }", "[supervision]\nwindow = 0",
        "[supervision]\nwindow = true", "[supervision]\nwindow = nan", "[supervision]\nwindow = inf", "cluster = 'x'", "x = " + "[" * 2000,
    ],
)  # fmt: skip
def test_each_slip_is_a_problem_with_a_line(tmp_path: Path, text: str) -> None:
    problems = _problems(tmp_path, text)
    assert problems
    assert all(problem.startswith("foreman.toml:") for problem in problems), problems


def test_a_key_without_its_section_is_told_where_it_belongs(tmp_path: Path) -> None:
    assert "cluster belongs under [node]" in _problems(tmp_path, "cluster = 'x'")[0]


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"\x00", b"x" * (2 << 20)])
def test_a_file_that_is_no_text_is_a_problem(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "c.toml").write_bytes(raw)
    with pytest.raises(InvalidConfiguration):
        load(file=tmp_path / "c.toml", folder=tmp_path)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="No such file"):
        load(file=Path("no.toml"), folder=tmp_path)
    with pytest.raises(InvalidConfiguration, match="No such file"):
        load(environment={"FOREMAN_CONFIG": "no.toml"}, folder=tmp_path)


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    load(environment={"FOREMAN_WORKER_ID": "a", "FOREMAN_ADDRESS": "unix:/x", "FOREMAN_SOMETHING_ELSE": "1", "PATH": "/"}, folder=tmp_path)


def test_a_kind_is_read_whole(tmp_path: Path) -> None:
    (redis,) = _load(tmp_path, REDIS).kinds
    assert isinstance(redis.program, CommandProgram)
    assert redis.program.argv[0] == "redis-server"
    assert (redis.name, redis.after, redis.ready, redis.restart) == ("redis", ("log",), NotifyReadiness(), RestartType.TRANSIENT)
    assert (redis.stop, redis.limits, redis.watchdog_s) == (StopSpec("TERM", 10.0), Limits(4096, 1 << 30), 10.0)


@pytest.mark.parametrize(
    ("text", "ready"),
    [
        ("notify", NotifyReadiness()), ("started", StartedReadiness()), ("tcp:6379", TcpReadiness(6379)),
        ("http://127.0.0.1:80/x", HttpReadiness("http://127.0.0.1:80/x")), ("http:http://[::1]/", HttpReadiness("http://[::1]/")),
        ("exec:redis-cli -s '{run}/a b' ping", ExecReadiness(("redis-cli", "-s", "{run}/a b", "ping"))),
    ],
)  # fmt: skip
def test_readiness_has_five_forms(tmp_path: Path, text: str, ready: object) -> None:
    (kind,) = _load(tmp_path, f'[kinds.x]\ncommand = ["x"]\nready = "{text}"').kinds
    assert kind.ready == ready


def test_a_kind_stops_with_the_nodes_grace_unless_it_says_otherwise(tmp_path: Path) -> None:
    (kind,) = _load(tmp_path, "[supervision]\nstop_grace = 3\n[kinds.x]\ncommand = ['x']").kinds
    assert kind.stop.grace_s == 3


def test_a_reload_says_what_applies_and_what_is_left(tmp_path: Path) -> None:
    old = _load(tmp_path, "[supervision]\nwindow = 5\n[kinds.a]\ncommand = ['a']\n[kinds.b]\ncommand = ['b']")
    new = _load(tmp_path, "[node]\ncluster = 'other'\n[supervision]\nwindow = 6\n[kinds.a]\ncommand = ['a2']\n[kinds.c]\ncommand = ['c']")
    told = changes(old, new)
    assert told.applied == ("supervision.window", "kinds.a", "kinds.c")
    assert told.left == ("node.cluster", "kinds.b")
    assert changes(old, old) == type(told)((), ())


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_no_text_does_more_than_raise_invalid_configuration(text: str) -> None:
    from foreman.node.configuration.forms import ADDRESSES, CLUSTER, COUNT, DIRECTORY_URL, DURATION, FRACTION, SIZE, WORD, WORDS

    for form in (ADDRESSES, CLUSTER, COUNT, DIRECTORY_URL, DURATION, FRACTION, SIZE, WORD, WORDS):
        with contextlib.suppress(ValueError):
            form.parse(text)


@given(st.floats(0.001, 2_000_000), st.sampled_from(["s", "ms", "min", "h"]))
def test_a_duration_means_the_same_as_text_and_as_number(seconds: float, unit: str) -> None:
    from foreman.node.configuration.forms import DURATION

    size = {"s": 1.0, "ms": 0.001, "min": 60.0, "h": 3600.0}[unit]
    assert DURATION.parse(f"{seconds / size:.9f}{unit}") == pytest.approx(DURATION.parse(seconds), abs=1e-4)


# --- [directory] ---


def test_etcd_is_reached_with_certificates_whose_files_stand_beside_the_configuration(tmp_path: Path) -> None:
    configuration = _load(tmp_path, '[directory]\nurl = "etcd://me@a:1,[::1]:2/?ca=ca.pem&cert=/x/c.pem&key=k.pem&password_file=pw"\n')
    expected = f"etcd://me@a:1,[::1]:2/?ca={tmp_path}/ca.pem&cert=/x/c.pem&key={tmp_path}/k.pem&password_file={tmp_path}/pw"
    assert configuration.directory.url == expected


@pytest.mark.parametrize(
    "url",
    ["etcd://h:1?cafile=x", "etcd://h:1?ca=", "etcd://h:1,i", "etcd://u:geheim@h", "etcd:h:1", "etcd://h:0", "etcd://@h:1", "sqlite:"],
)
def test_what_is_no_directory_is_refused_without_its_password(tmp_path: Path, url: str) -> None:
    (told,) = _problems(tmp_path, f'[directory]\nurl = "{url}"\n')
    assert "directory.url must be sqlite:PATH or etcd://" in told
    assert "geheim" not in told


# --- [data_plane] ---

TLS = 'tls = { cert = "n.pem", key = "n.key", client_ca = "ca.pem" }\n'


def test_workers_show_the_nodes_certificate_unless_they_have_their_own(tmp_path: Path) -> None:
    node = _load(tmp_path, f'[node]\n{TLS}[data_plane]\nlisten = "10.0.0.5"\n')
    assert listen_params(node) == {
        "listen": "10.0.0.5:0",
        "tls": {"certificate": f"{tmp_path}/n.pem", "key": f"{tmp_path}/n.key", "client_ca": f"{tmp_path}/ca.pem"},
    }
    own = _load(tmp_path, f'[node]\n{TLS}[data_plane]\nlisten = "[::1]:7000-7099"\nauth_file = "pw"\n{TLS.replace("n.", "w.")}')
    assert listen_params(own)["tls"]["certificate"] == f"{tmp_path}/w.pem"
    assert listen_params(own)["auth_file"] == f"{tmp_path}/pw"


def test_without_listen_workers_are_given_nothing_and_the_director_shows_its_certificate(tmp_path: Path) -> None:
    configuration = _load(tmp_path, f"[node]\n{TLS}")
    assert listen_params(configuration) == {}
    assert link_params(configuration)["tls"]["client_ca"] == f"{tmp_path}/ca.pem"
    assert link_params(_load(tmp_path)) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[data_plane]\nlisten = "10.0.0.5"', "foreman.toml:2: workers that listen on 10.0.0.5:0 need tls with client_ca"),
        ('[node]\ntls = { cert = "c", key = "k" }\n[data_plane]\nlisten = "h"', "foreman.toml:4: workers that listen on h:0 need tls with"),
        ('[data_plane]\nlisten = "10.0.0.5"\nauth_file = "pw"', "a password must not cross a network in the clear"),
        ('[data_plane]\ntls = { cert = "c", key = "k" }', "data_plane.tls needs cert, key and client_ca; missing: client_ca"),
        ('[data_plane]\nlisten = "h:7000"', "data_plane.listen must be HOST, or HOST:FIRST-LAST"),
        ('[data_plane]\nlisten = "h:5-1"', "data_plane.listen must be HOST, or HOST:FIRST-LAST"),
        ('[data_plane]\nlisten = "::1"', "data_plane.listen must be HOST, or HOST:FIRST-LAST"),
        ('[data_plane]\nlistn = "h"', "did you mean data_plane.listen?"),
    ],
)
def test_workers_are_never_open_to_whoever_comes_by(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in problem for problem in _problems(tmp_path, text)), _problems(tmp_path, text)


def test_a_password_alone_is_enough_on_loopback(tmp_path: Path) -> None:
    configuration = _load(tmp_path, '[data_plane]\nlisten = "127.0.0.1"\nauth_file = "pw"\n')
    assert listen_params(configuration) == {"listen": "127.0.0.1:0", "auth_file": f"{tmp_path}/pw"}


def test_where_workers_listen_changes_with_a_reload(tmp_path: Path) -> None:
    old, new = _load(tmp_path), _load(tmp_path, f'[node]\n{TLS}[data_plane]\nlisten = "10.0.0.5"\n')
    told = changes(old, new)
    assert told.applied == ("data_plane.listen",)
    assert set(told.left) == {"node.tls.cert", "node.tls.key", "node.tls.client_ca"}
