"""confluent-kafka, which is librdkafka: python librdkafka.py BOOTSTRAP PART..."""
import os
import sys
import time

from confluent_kafka import (Consumer, ConsumerGroupTopicPartitions, ConsumerGroupState, KafkaException, Producer, TopicCollection,
                             TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec,
                                   ResourceType)

from seen import CODECS, HALF, PARTITIONS, PASSWORD, PATIENCE, RECORDS, USER, Seen, eventually, record, run, secure_values


def create(boot, *topics):
    client = AdminClient({"bootstrap.servers": boot})  # must outlive its futures
    for future in client.create_topics([NewTopic(t, PARTITIONS, 1) for t in topics]).values():
        future.result(30)


def send(producer, topic, errors):
    for n in range(RECORDS):
        key, value, headers, at = record(n)
        producer.produce(topic, value, key, headers=headers, timestamp=at, on_delivery=lambda err, _: err and errors.append(err))
        producer.poll(0)
    assert producer.flush(30) == 0 and not errors, errors


def read(boot, topic, group, seen, until, **conf):
    """Reads until enough has been seen and commits exactly that."""
    consumer = Consumer({"bootstrap.servers": boot, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
                         **{k.replace("_", "."): v for k, v in conf.items()}})
    consumer.subscribe([topic])
    at, end = {}, time.time() + PATIENCE
    while len(seen) < until and time.time() < end:
        msg = consumer.poll(0.2)
        if msg is not None:
            assert msg.error() is None, msg.error()
            seen.add(msg.partition(), msg.offset(), msg.key(), msg.value(), msg.headers(), msg.timestamp()[1])
            at[msg.partition()] = msg.offset() + 1
    assert len(seen) >= until, f"{topic}: {len(seen)} records of {until}"
    consumer.commit(offsets=[TopicPartition(topic, p, o) for p, o in at.items()], asynchronous=False)
    consumer.close()


def resume(boot, topic, group, **conf):
    seen = Seen()
    for until in [HALF, RECORDS]:
        read(boot, topic, group, seen, until, **conf)
    seen.all()


def roundtrip(boot):
    for codec in CODECS:
        topic = f"librdkafka-{codec}"
        create(boot, topic)
        producer = Producer({"bootstrap.servers": boot, "compression.type": codec, "enable.idempotence": True, "linger.ms": 5})
        send(producer, topic, [])
        resume(boot, topic, f"{topic}-group")
    resume(boot, "librdkafka-zstd", "librdkafka-sticky", partition_assignment_strategy="cooperative-sticky")


def next_protocol(boot):
    """KIP-848: the broker assigns."""
    create(boot, "librdkafka-next")
    send(Producer({"bootstrap.servers": boot}), "librdkafka-next", [])
    for assignor in ["uniform", "range"]:
        resume(boot, "librdkafka-next", f"librdkafka-next-{assignor}", group_protocol="consumer", group_remote_assignor=assignor)
    client = AdminClient({"bootstrap.servers": boot})
    group = client.describe_consumer_groups(["librdkafka-next-range"])["librdkafka-next-range"].result(30)
    assert group.state == ConsumerGroupState.EMPTY, group.state


def transactions(boot):
    """Copies a topic; each transaction is aborted once and then committed, with the offsets in it."""
    create(boot, "librdkafka-txn-in", "librdkafka-txn-out")
    send(Producer({"bootstrap.servers": boot}), "librdkafka-txn-in", [])
    producer = Producer({"bootstrap.servers": boot, "transactional.id": "librdkafka-txn"})
    producer.init_transactions(30)
    group = "librdkafka-txn-group"
    conf = {"bootstrap.servers": boot, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer({**conf, "isolation.level": "read_committed"})
    consumer.subscribe(["librdkafka-txn-in"])
    copied, end = 0, time.time() + PATIENCE
    while copied < RECORDS and time.time() < end:
        messages = consumer.consume(100, 0.5)
        if not messages:
            continue
        for commit in [False, True]:
            producer.begin_transaction()
            for m in messages:
                assert m.error() is None, m.error()
                producer.produce("librdkafka-txn-out", m.value(), m.key(), m.partition(), headers=m.headers(), timestamp=m.timestamp()[1])
            offsets = consumer.position(consumer.assignment())
            producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 30)
            producer.commit_transaction(30) if commit else producer.abort_transaction(30)
        copied += len(messages)
    consumer.close()
    seen = Seen()
    read(boot, "librdkafka-txn-out", "librdkafka-txn-reader", seen, RECORDS, isolation_level="read_committed")
    seen.all()
    left = Consumer({**conf, "isolation.level": "read_committed"})
    committed = left.committed([TopicPartition("librdkafka-txn-in", p) for p in range(PARTITIONS)], 30)
    assert sum(c.offset for c in committed) == RECORDS, committed
    left.close()

    zombie, heir = producer, Producer({"bootstrap.servers": boot, "transactional.id": "librdkafka-txn"})
    zombie.begin_transaction()
    zombie.produce("librdkafka-txn-out", b"zombie")
    heir.init_transactions(30)
    try:
        zombie.commit_transaction(30)
        raise AssertionError("a fenced producer committed")
    except KafkaException as e:
        assert e.args[0].code() in (-144, -172, 47, 90), e  # fenced, by its several names


def hold_open(boot):
    """An open transaction, for as long as this process lives."""
    producer = Producer({"bootstrap.servers": boot, "transactional.id": "tools-open", "transaction.timeout.ms": 600_000})
    producer.init_transactions(30)
    producer.begin_transaction()
    for n in range(5):
        producer.produce("tools-txn-open", str(n))
    producer.flush()
    time.sleep(600)


def admin(boot):
    a = AdminClient({"bootstrap.servers": boot})
    topic, group = "librdkafka-admin", "librdkafka-admin-group"
    create(boot, topic)
    send(Producer({"bootstrap.servers": boot}), topic, [])
    resume(boot, topic, group)

    for future in a.create_partitions([NewPartitions(topic, PARTITIONS + 1)]).values():
        future.result(30)
    eventually(lambda: len(a.list_topics(topic, 30).topics[topic].partitions) == PARTITIONS + 1 or 1 / 0)
    described = a.describe_topics(TopicCollection([topic]))[topic].result(30)
    assert [p.leader.id for p in described.partitions] == [described.partitions[0].leader.id] * (PARTITIONS + 1)
    cluster = a.describe_cluster().result(30)
    assert len(cluster.nodes) == 1 and cluster.cluster_id, cluster

    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[
        ConfigEntry("retention.ms", "60000", incremental_operation=AlterConfigOpType.SET),
        ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.APPEND)])
    a.incremental_alter_configs([resource])[resource].result(30)

    def configured():
        got = a.describe_configs([ConfigResource(ResourceType.TOPIC, topic)])
        entries = next(iter(got.values())).result(30)
        assert entries["retention.ms"].value == "60000" and entries["cleanup.policy"].value == "delete,compact", entries
    eventually(configured)

    parts = [TopicPartition(topic, p) for p in range(PARTITIONS)]

    def offsets(spec):
        return {tp.partition: f.result(30).offset for tp, f in a.list_offsets({p: spec for p in parts}).items()}
    ends = offsets(OffsetSpec.latest())
    assert sum(ends.values()) == RECORDS and set(offsets(OffsetSpec.earliest()).values()) == {0}
    newest = max(f.result(30).timestamp for f in a.list_offsets({p: OffsetSpec.max_timestamp() for p in parts}).values())
    assert newest == record(RECORDS - 1)[3], newest
    from_middle = offsets(OffsetSpec.for_timestamp(record(RECORDS // 2)[3]))
    assert sum(ends[p] - from_middle[p] for p in ends) == RECORDS // 2, from_middle

    assert group in [g.group_id for g in a.list_consumer_groups().result(30).valid]
    assert a.describe_consumer_groups([group])[group].result(30).state == ConsumerGroupState.EMPTY
    a.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 5)])])[group].result(30)
    got = a.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(30)
    assert {tp.partition: tp.offset for tp in got.topic_partitions} == {**ends, 0: 5}, got.topic_partitions
    a.delete_consumer_groups([group])[group].result(30)
    a.delete_topics([topic])[topic].result(30)
    eventually(lambda: topic not in a.list_topics(timeout=30).topics or 1 / 0)


def delete_records(boot):
    a = AdminClient({"bootstrap.servers": boot})
    create(boot, "librdkafka-purge")
    send(Producer({"bootstrap.servers": boot}), "librdkafka-purge", [])
    at = TopicPartition("librdkafka-purge", 0, 10)
    assert a.delete_records([at])[at].result(30).low_watermark == 10
    consumer = Consumer({"bootstrap.servers": boot, "group.id": "librdkafka-purge", "auto.offset.reset": "earliest"})
    assert consumer.get_watermark_offsets(TopicPartition("librdkafka-purge", 0), 30)[0] == 10
    consumer.close()


def secure(boot):
    conf = {"bootstrap.servers": boot, "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": USER,
            "sasl.password": PASSWORD, "ssl.ca.location": os.environ["INTEROP_CA"]}
    errors = []
    producer = Producer(conf)
    for value in secure_values("librdkafka"):
        producer.produce("secure", value, on_delivery=lambda err, _: err and errors.append(err))
    assert producer.flush(30) == 0 and not errors, errors
    try:
        producer.produce("forbidden", b"no", on_delivery=lambda err, _: err and errors.append(err))
        producer.flush(30)
    except KafkaException as e:  # when it knows already
        errors.append(e.args[0])
    assert [e.name() for e in errors] == ["TOPIC_AUTHORIZATION_FAILED"], errors
    consumer = Consumer({**conf, "group.id": "secure-librdkafka", "auto.offset.reset": "earliest"})
    consumer.subscribe(["secure"])
    got, end = [], time.time() + PATIENCE
    while got != secure_values("librdkafka") and time.time() < end:
        msg = consumer.poll(0.2)
        if msg is not None:
            assert msg.error() is None, msg.error()
            got += [msg.value()] if msg.value().startswith(b"librdkafka-") else []
    consumer.close()
    assert got == secure_values("librdkafka"), got


run(sys.argv[1], {"librdkafka-secure": secure, "librdkafka": roundtrip, "librdkafka-next": next_protocol, "librdkafka-txn": transactions, "librdkafka-admin": admin,
                  "librdkafka-delete-records": delete_records, "librdkafka-open": hold_open}, sys.argv[2:])
