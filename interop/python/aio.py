"""aiokafka: python aio.py BOOTSTRAP PART..."""
import asyncio
import os
import ssl
import sys
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from seen import CODECS, HALF, PARTITIONS, PASSWORD, PATIENCE, RECORDS, USER, Seen, record, run, secure_values


async def create(boot, *topics):
    client = AIOKafkaAdminClient(bootstrap_servers=boot)
    await client.start()
    created = await client.create_topics([NewTopic(t, PARTITIONS, 1) for t in topics])
    assert all(error[1] == 0 for error in created.topic_errors), created
    await client.close()


async def send(producer, topic):
    sent = []
    for n in range(RECORDS):
        key, value, headers, at = record(n)
        sent.append(await producer.send(topic, value, key, timestamp_ms=at, headers=headers))
    await producer.flush()
    await asyncio.gather(*sent)


async def write(boot, topic, **conf):
    producer = AIOKafkaProducer(bootstrap_servers=boot, **conf)
    await producer.start()
    await send(producer, topic)
    await producer.stop()


async def read(boot, topic, group, seen, until, **conf):
    """Reads until enough has been seen and commits that."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=boot, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False,
                                max_poll_records=100, **conf)
    await consumer.start()
    end = time.time() + PATIENCE
    while len(seen) < until and time.time() < end:
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for r in records:
                seen.add(r.partition, r.offset, r.key, r.value, r.headers, r.timestamp)
    await consumer.commit()
    await consumer.stop()
    assert len(seen) >= until, f"{topic}: {len(seen)} records of {until}"


async def resume(boot, topic, group):
    seen = Seen()
    for until in [HALF, RECORDS]:
        await read(boot, topic, group, seen, until)
    seen.all()


async def roundtrip(boot):
    for codec in CODECS:
        topic = f"aiokafka-{codec}"
        await create(boot, topic)
        await write(boot, topic, compression_type=None if codec == "none" else codec, enable_idempotence=codec == "none")
        await resume(boot, topic, f"{topic}-group")


async def transactions(boot):
    """One transaction is aborted, the next one committed, offsets included."""
    await create(boot, "aiokafka-txn")
    producer = AIOKafkaProducer(bootstrap_servers=boot, transactional_id="aiokafka-txn")
    await producer.start()
    at = TopicPartition("aiokafka-txn", 0)
    for commit in [False, True]:
        await producer.begin_transaction()
        await send(producer, "aiokafka-txn")
        await producer.send_offsets_to_transaction({at: 11 if commit else 7}, "aiokafka-txn-other")
        await (producer.commit_transaction() if commit else producer.abort_transaction())
    await producer.stop()
    seen = Seen()
    await read(boot, "aiokafka-txn", "aiokafka-txn-group", seen, RECORDS, isolation_level="read_committed")
    seen.all()
    client = AIOKafkaAdminClient(bootstrap_servers=boot)
    await client.start()
    offsets = await client.list_consumer_group_offsets("aiokafka-txn-other")
    assert offsets[at].offset == 11, offsets
    await client.close()


async def admin(boot):
    topic, group = "aiokafka-admin", "aiokafka-admin-group"
    await create(boot, topic)
    await write(boot, topic)
    await resume(boot, topic, group)
    a = AIOKafkaAdminClient(bootstrap_servers=boot)
    await a.start()
    await a.create_partitions({topic: NewPartitions(PARTITIONS + 1)})
    await a.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "60000"})])
    end = time.time() + PATIENCE
    while True:
        configs = str(await a.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]))
        parts = (await a.describe_topics([topic]))[0]["partitions"]
        if "60000" in configs and len(parts) == PARTITIONS + 1:
            break
        assert time.time() < end, configs
        await asyncio.sleep(0.02)
    assert topic in await a.list_topics() and len((await a.describe_cluster())["brokers"]) == 1
    assert group in str(await a.list_consumer_groups()) and "Empty" in str(await a.describe_consumer_groups([group]))
    offsets = await a.list_consumer_group_offsets(group)
    assert sum(o.offset for o in offsets.values()) == RECORDS, offsets
    await a.delete_topics([topic])
    await a.close()


async def secure(boot):
    conf = {"bootstrap_servers": boot, "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": USER,
            "sasl_plain_password": PASSWORD, "ssl_context": ssl.create_default_context(cafile=os.environ["INTEROP_CA"])}
    producer = AIOKafkaProducer(**conf)
    await producer.start()
    for value in secure_values("aiokafka"):
        await producer.send_and_wait("secure", value)
    try:
        await producer.send_and_wait("forbidden", b"no")
        raise AssertionError("wrote to the forbidden topic")
    except TopicAuthorizationFailedError:
        pass
    await producer.stop()
    consumer = AIOKafkaConsumer("secure", group_id="secure-aiokafka", auto_offset_reset="earliest", **conf)
    await consumer.start()
    got, end = [], time.time() + PATIENCE
    while got != secure_values("aiokafka") and time.time() < end:
        for records in (await consumer.getmany(timeout_ms=200)).values():
            got += [r.value for r in records if r.value.startswith(b"aiokafka-")]
    await consumer.stop()
    assert got == secure_values("aiokafka"), got


def now(part):
    return lambda boot: asyncio.run(part(boot))


run(sys.argv[1], {"aiokafka-secure": now(secure), "aiokafka": now(roundtrip), "aiokafka-txn": now(transactions), "aiokafka-admin": now(admin)}, sys.argv[2:])
