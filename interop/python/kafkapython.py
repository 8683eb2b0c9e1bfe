"""kafka-python: python kafkapython.py BOOTSTRAP PART..."""
import os
import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.errors import TopicAuthorizationFailedError
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec

from seen import CODECS, HALF, PARTITIONS, PASSWORD, PATIENCE, RECORDS, USER, Seen, eventually, record, run, secure_values


def create(boot, *topics):
    client = KafkaAdminClient(bootstrap_servers=boot)
    client.create_topics({t: {"num_partitions": PARTITIONS, "replication_factor": 1} for t in topics}, wait_for_metadata=True)
    client.close()


def send(producer, topic):
    sent = []
    for n in range(RECORDS):
        key, value, headers, at = record(n)
        sent.append(producer.send(topic, value, key, headers, timestamp_ms=at))
    producer.flush(30)
    for future in sent:
        future.get(30)


def write(boot, topic, **conf):
    producer = KafkaProducer(bootstrap_servers=boot, **conf)
    send(producer, topic)
    producer.close()


def subscribed(topic, **conf):
    """A consumer that knows its topic before it joins: one that does not may be left without partitions, with Apache Kafka too."""
    consumer = KafkaConsumer(auto_offset_reset="earliest", **conf)
    assert consumer.partitions_for_topic(topic)
    consumer.subscribe([topic])
    return consumer


def read(boot, topic, group, seen, until, **conf):
    """Reads until enough has been seen and commits that."""
    consumer = subscribed(topic, bootstrap_servers=boot, group_id=group, enable_auto_commit=False, max_poll_records=100, **conf)
    end = time.time() + PATIENCE
    while len(seen) < until and time.time() < end:
        for records in consumer.poll(200).values():
            for r in records:
                seen.add(r.partition, r.offset, r.key, r.value, r.headers, r.timestamp)
    consumer.commit()
    consumer.close()
    assert len(seen) >= until, f"{topic}: {len(seen)} records of {until}"


def resume(boot, topic, group):
    seen = Seen()
    for until in [HALF, RECORDS]:
        read(boot, topic, group, seen, until)
    seen.all()


def roundtrip(boot):
    for codec in CODECS:
        topic = f"kafka-python-{codec}"
        create(boot, topic)
        write(boot, topic, compression_type=None if codec == "none" else codec)
        resume(boot, topic, f"{topic}-group")


def transactions(boot):
    """One transaction is aborted, the next one committed, offsets included."""
    create(boot, "kafka-python-txn")
    producer = KafkaProducer(bootstrap_servers=boot, transactional_id="kafka-python-txn")
    producer.init_transactions()
    at = TopicPartition("kafka-python-txn", 0)
    for commit in [False, True]:
        producer.begin_transaction()
        send(producer, "kafka-python-txn")
        producer.send_offsets_to_transaction({at: OffsetAndMetadata(11 if commit else 7, "", -1)}, "kafka-python-txn-other")
        producer.commit_transaction() if commit else producer.abort_transaction()
    producer.close()
    seen = Seen()
    read(boot, "kafka-python-txn", "kafka-python-txn-group", seen, RECORDS, isolation_level="read_committed")
    seen.all()
    client = KafkaAdminClient(bootstrap_servers=boot)
    got = client.list_group_offsets("kafka-python-txn-other")["kafka-python-txn-other"][at].offset
    assert got == 11, got
    client.close()


def admin(boot):
    topic, group = "kafka-python-admin", "kafka-python-admin-group"
    create(boot, topic)
    write(boot, topic)
    resume(boot, topic, group)
    a = KafkaAdminClient(bootstrap_servers=boot)
    a.create_partitions({topic: PARTITIONS + 1})
    eventually(lambda: len(a.describe_topics([topic])[0]["partitions"]) == PARTITIONS + 1 or 1 / 0)
    assert topic in a.list_topics() and len(a.describe_cluster()["brokers"]) == 1

    for incremental in [True, False]:  # the old AlterConfigs too
        value = "60000" if incremental else "61000"
        a.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": value})], incremental=incremental)
        eventually(lambda: value in str(a.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])) or 1 / 0)

    parts = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    ends = a.list_partition_offsets({p: OffsetSpec.LATEST for p in parts})
    assert sum(o.offset for o in ends.values()) == RECORDS, ends
    middle = a.list_partition_offsets({p: record(RECORDS // 2)[3] for p in parts})
    assert sum(ends[p].offset - middle[p].offset for p in parts) == RECORDS // 2, middle

    assert group in str(a.list_groups()) and "Empty" in str(a.describe_groups([group]))
    a.alter_group_offsets(group, {parts[0]: OffsetAndMetadata(5, "by hand", -1)})
    offsets = a.list_group_offsets(group)[group]
    assert offsets[parts[0]].offset == 5 and offsets[parts[0]].metadata == "by hand", offsets
    a.delete_groups([group])
    assert group not in str(a.list_groups())
    a.delete_topics([topic])
    eventually(lambda: topic not in a.list_topics() or 1 / 0)
    a.close()


def secure(boot):
    conf = {"bootstrap_servers": boot, "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-256", "sasl_plain_username": USER,
            "sasl_plain_password": PASSWORD, "ssl_cafile": os.environ["INTEROP_CA"]}
    producer = KafkaProducer(**conf)
    for value in secure_values("kafkapython"):
        producer.send("secure", value).get(30)
    try:
        producer.send("forbidden", b"no").get(30)
        raise AssertionError("wrote to the forbidden topic")
    except TopicAuthorizationFailedError:
        pass
    producer.close()
    consumer = subscribed("secure", group_id="secure-kafkapython", **conf)
    got, end = [], time.time() + PATIENCE
    while got != secure_values("kafkapython") and time.time() < end:
        for records in consumer.poll(200).values():
            got += [r.value for r in records if r.value.startswith(b"kafkapython-")]
    consumer.close()
    assert got == secure_values("kafkapython"), got


run(sys.argv[1], {"kafka-python-secure": secure, "kafka-python": roundtrip, "kafka-python-txn": transactions, "kafka-python-admin": admin}, sys.argv[2:])
