"""Answers of `/status`, made up, for the tests of the page that need no service. One function per state."""

import copy
import datetime
import math

STATES = {}


def sample(function):
    STATES[function.__name__.replace("_", "-")] = function
    return function


def rfc3339(at):
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def history(now, point, samples=180):
    """`point(seconds ago)`: messages per second, lag, p50, p99."""
    keys = ["messages_per_s", "lag", "write_p50_ms", "write_p99_ms"]
    return [
        {"at": rfc3339(now - datetime.timedelta(seconds=ago)), **dict(zip(keys, point(ago)))}
        for ago in range((samples - 1) * 5, -1, -5)
    ]


def wave(ago, size, seed=0):
    return size * (math.sin(ago / 37 + seed) + math.sin(ago / 11 + 2 * seed) / 2 + math.sin(ago / 3.1) / 3)


def steady(ago):
    return 48_000 + wave(ago, 1_500), max(0, round(900 + wave(ago, 350, 1))), 2.1 + wave(ago, 0.1, 2), 8.5 + wave(ago, 0.9, 3)


def partitions(topics, of=None):
    """`topics`: name → how many. Every one is ok."""
    return [
        {"topic": topic, "partition": number, "state": "ok", "why": "", "next_offset": 81_204_117 + 7_919 * number,
         "lag": 20 + (number * 37) % 31, "oldest_in_hand_s": (number % 5) / 100}
        for topic, count in topics.items() for number in range(count)
    ]


def held(partition, offset, reason, detail):
    topic, number = partition["topic"], partition["partition"]
    partition.update(
        state="held", lag=41_877, oldest_in_hand_s=754.2, next_offset=offset,
        why=f'topic={topic} partition={number} offset={offset} reason={reason} detail="{detail}" cure="correct the rule and '
        f"restart; or, to skip this message, stop the service, run penstock skip FILE {topic}:{number}:{offset} --to-file "
        f"{topic}-{number}-{offset}.json and start it (FILE: the configuration; the message is kept in the other file); or "
        'let such messages be dead letters (reject.action)"')


@sample
def flowing(now):
    return {
        "version": "0.9.0", "uptime_s": 273_912.4, "started": rfc3339(now - datetime.timedelta(seconds=273_912)),
        "group": "profiles", "topics": ["events", "orders"], "sets": ["users.profiles", "users.sessions"],
        "stage": "running", "state": "ok", "why": "Messages flow: 48,317 per second.", "state_for_s": 93_412.0,
        "snapshot_age_s": 0.4, "messages_per_s": 48_316.8, "rows_per_s": 61_240.0, "lag": 877,
        "kafka": {"connected": True, "joined": True},
        "aerospike": {"failing_for_s": None, "closed_namespaces": []},
        "pressure": {"state": "open", "closed_for_s": None, "limit_rows": 4_096, "in_flight_rows": 612, "cause": ""},
        "totals": {
            "consumed": 9_218_330_114, "written": 9_011_202_877, "filtered": 207_126_502, "rejected": 312,
            "dead_lettered": 312, "dropped": 0, "returned": 0, "published": 1_204_551, "in_hand": 423,
            "rows_written": 11_604_119_020, "rows_guard_refused": 4_117, "rows_stale": 88_120, "rows_ignored": 0,
        },
        "memory": {"resident_bytes": 412 << 20, "bound_bytes": 1_843 << 20},
        "partitions": partitions({"events": 24, "orders": 8}),
        "rejects": {"key_missing": 204, "not_json": 96, "type_mismatch": 12},
        "recent_rejects": [
            {"at": rfc3339(now - datetime.timedelta(minutes=7 * n, seconds=11)), "topic": "events", "partition": (n * 7) % 24,
             "offset": 81_204_117 - 104_729 * n, "reason": ["key_missing", "not_json", "key_missing", "type_mismatch"][n % 4]}
            for n in range(12)
        ],
        "history": history(now, steady),
        "settings": [
            {"name": "kafka", "value": "brokers=kafka-1:9092,kafka-2:9092 group=profiles topics=events,orders start=earliest"},
            {"name": "aerospike", "value": "hosts=as-1:3000,as-2:3000 user=penstock tls=on"},
            {"name": "run", "value": "batch_rows_max=200 rows_in_flight_max=4096 write_timeout=2s shutdown_grace=30s"},
            {"name": "reject", "value": "action=dead_letter topic=events.dead percent_max=1 percent_of=10000"},
        ],
    }


@sample
def idle(now):
    status = flowing(now)
    status.update(why="", messages_per_s=0.0, rows_per_s=0.0, lag=0, rejects={}, recent_rejects=[])
    status["history"] = history(now, lambda _: (0.0, 0, None, None))
    return status


@sample
def silent(now):
    """The database has been silent for 95 seconds."""
    status = flowing(now)
    lag = lambda ago: round(900 + 48_000 * max(0, 95 - ago))
    status.update(
        state="waiting-for-aerospike", why="Writes fail: no node answers (timeout). No data is lost; consumption waits, and "
        "goes on by itself when Aerospike answers.", messages_per_s=0.0, rows_per_s=0.0, lag=lag(0))
    del status["state_for_s"]
    status["aerospike"]["failing_for_s"] = 95.0
    status["pressure"] = {"state": "closed", "closed_for_s": 93.0, "limit_rows": 0, "in_flight_rows": 16, "cause": "timeout"}
    status["history"] = history(now, lambda ago: steady(ago) if ago > 95 else (0.0, lag(ago), None, None))
    for partition in status["partitions"]:
        partition.update(lag=lag(0) // 32, oldest_in_hand_s=95.0)
    return status


@sample
def recovered(now):
    """Three minutes ago the database came back, after two minutes. The lag is nearly worked off."""
    status = flowing(now)

    def point(ago):
        if ago > 300:
            return steady(ago)
        if ago > 180:
            return 0.0, 48_000 * (300 - ago), None, None
        left = max(900, 5_760_000 - 36_000 * (180 - ago))
        return (84_000 + wave(ago, 1_200) if left > 900 else 48_000 + wave(ago, 1_500)), left, 3.4 + wave(ago, 0.2), 14 + wave(ago, 1.4)

    status["history"] = history(now, point)
    status.update(why="Messages flow: 48,317 per second.", state_for_s=180.0, lag=900)
    return status


@sample
def catching_up(now):
    """The same, a minute after the database came back."""
    status = recovered(now)
    shift = datetime.timedelta(seconds=120)
    status["history"] = recovered(now + shift)["history"][:-24]
    last = status["history"][-1]
    status.update(lag=last["lag"], messages_per_s=last["messages_per_s"], state_for_s=60.0, why="")
    status["pressure"].update(state="limited", limit_rows=1_480, in_flight_rows=1_480, cause="timeout")
    return status


@sample
def one_held(now):
    status = flowing(now)
    status.update(state="held", why="A message was rejected, and its partition waits until a person acts. The other "
                  "31 partitions go on.", state_for_s=754.0, lag=42_754)
    held(status["partitions"][17], 81_338_740, "key_missing", "the path user.id is not in the message")
    return status


@sample
def starting(now):
    status = flowing(now)
    status.update(stage="starting", state="no-partitions", why="Waiting for Aerospike at aerospike-1:3000.", lag=None,
                  uptime_s=4.2, started=rfc3339(now - datetime.timedelta(seconds=4)), messages_per_s=0.0, rows_per_s=0.0,
                  kafka={"connected": None, "joined": False}, partitions=[], rejects={}, recent_rejects=[], history=[],
                  state_for_s=4.2)
    status["totals"] = dict.fromkeys(status["totals"], 0)
    status["memory"] = {"resident_bytes": 31 << 20, "bound_bytes": 0}
    status["pressure"].update(limit_rows=0, in_flight_rows=0)
    return status


@sample
def draining(now):
    status = flowing(now)
    status.update(stage="draining", why="It was told to stop: it finishes what it has in hand.", state_for_s=1.5)
    return status


@sample
def no_partitions(now):
    status = flowing(now)
    status.update(state="no-partitions", why="The group has more members than partitions. This process takes over when another "
                  "leaves.", partitions=[], lag=None, messages_per_s=0.0, rows_per_s=0.0, rejects={}, recent_rejects=[])
    status["history"] = history(now, lambda _: (0.0, None, None, None))
    return status


@sample
def many(now):
    """256 partitions in every state."""
    status = flowing(now)
    status.update(state="stalled", why="2 partitions make no progress though nothing excuses them.", topics=["events"],
                  state_for_s=312.0, lag=1_204_118)
    all_ = status["partitions"] = partitions({"events": 256})
    for number, offset in [(17, 81_338_740), (18, 81_338_811), (90, 81_916_827), (91, 81_924_746), (92, 81_932_665), (140, 82_312_777)]:
        held(all_[number], offset, "key_missing", "the path user.id is not in the message")
    for number in (3, 201):
        all_[number].update(state="stalled", lag=402_112, oldest_in_hand_s=912.0, why="no progress for 5m though messages are "
                            "there and the database answers: look at the log of this process")
    for number in range(60, 64):
        all_[number].update(state="no-leader", lag=None, why="broker 3 at kafka-3:9092 is not reached")
    all_[222].update(state="restarting", why="its worker ended: a stray message")
    for number in (250, 251, 252):
        all_[number].update(state="starting", lag=None, next_offset=None, oldest_in_hand_s=None)
    return status


@sample
def no_leader(now):
    status = flowing(now)
    status["why"] = ""
    for number in (4, 9):
        status["partitions"][number].update(state="no-leader", lag=None, why="broker 3 at kafka-3:9092 is not reached")
    return status


@sample
def behind(now):
    status = flowing(now)
    status["history"] = history(now, lambda ago: (48_000 + wave(ago, 1_500), round(14_000_000 - 15_000 * ago + wave(ago, 3_000)), 9.8, 41.0))
    status.update(lag=14_000_000, why="")
    return status


@sample
def hostile(now):
    """Text that would be HTML, quotes, very long names, numbers at their ends, nothing known."""
    status = copy.deepcopy(flowing(now))
    html = "<img src=x onerror=\"document.title='broken in'\"><script>document.title='broken in'</script>"
    long = "a-very-long-topic-name." * 10
    status.update(group=html, topics=[html, long], sets=[html] * 9, why=html, state="held", lag=9_007_199_254_740_991)
    status["partitions"] = partitions({html: 2, long: 3})
    held(status["partitions"][1], 2**53, html.replace(" ", "_"), html.replace('"', '\\"'))
    status["partitions"][2].update(state="a-new-state", why="key=\"not closed", next_offset=None, lag=None)
    status["rejects"] = {html: 1, long: 10**15}
    status["recent_rejects"] = [{"at": rfc3339(now), "topic": html, "partition": 1, "offset": 2**53, "reason": html}]
    status["settings"] = [{"name": html, "value": html}, {"name": "long", "value": "x" * 3_000}]
    status["pressure"].update(cause=html, state="limited")
    status["memory"] = {"resident_bytes": None, "bound_bytes": 0}
    return status
