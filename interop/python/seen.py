"""What every client writes and what it must read again: each record once, unchanged, in the order of its partition."""
import time

RECORDS = 1000
PARTITIONS = 3
HALF = 400  # where a consumer stops, for another one to go on
PATIENCE = 60
FIRST_TIME = 1_700_000_000_000
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]

USER, PASSWORD = "alice", "alice-secret"  # of suites/security.sh: may read and write the topic secure, and no other


def secure_values(client):
    return [f"{client}-{n}".encode() for n in range(10)]


def record(n):
    """key, value, headers and time of record n"""
    return f"key-{n}".encode(), f"value-{n}".encode(), [("n", str(n).encode())], FIRST_TIME + n


def eventually(check):
    """Retries: a change of metadata may be acknowledged before every read shows it."""
    end = time.time() + PATIENCE
    while True:
        try:
            return check()
        except Exception:
            if time.time() > end:
                raise
            time.sleep(0.02)


class Seen:
    def __init__(self):
        self.got = set()
        self.last = {}

    def __len__(self):
        return len(self.got)

    def add(self, partition, offset, key, value, headers, timestamp):
        n = int(key.removeprefix(b"key-"))
        got = (key, value, list(headers), timestamp)
        assert got == record(n), f"offset {offset} of partition {partition} is {got}"
        assert n not in self.got, f"{key} came twice, again as {offset} of partition {partition}"
        last = self.last.get(partition, (-1, -1))
        assert (offset, n) > last and n > last[1], f"partition {partition}: {n} at {offset} after {last}"
        self.got.add(n)
        self.last[partition] = (offset, n)

    def all(self):
        assert len(self) == RECORDS, f"{len(self)} records of {RECORDS}"


def run(boot, parts, wanted):
    for name in wanted:
        parts[name](boot)
        print("ok:", name, flush=True)
