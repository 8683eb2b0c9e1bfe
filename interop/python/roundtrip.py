"""librdkafka (confluent-kafka) and kafka-python: every compression, keys, groups. python roundtrip.py BOOTSTRAP"""
import sys
import time

BOOT = sys.argv[1]
RECORDS = 1000
EXPECTED = {f"key-{i}": f"value-{i}" for i in range(RECORDS)}


def confluent():
    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": BOOT})
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
        topic = f"librdkafka-{codec}"
        for future in admin.create_topics([NewTopic(topic, 3, 1)]).values():
            future.result(30)
        errors = []
        producer = Producer({"bootstrap.servers": BOOT, "compression.type": codec, "enable.idempotence": True, "linger.ms": 5})
        for key, value in EXPECTED.items():
            producer.produce(topic, value, key, on_delivery=lambda err, _: err and errors.append(err))
            producer.poll(0)
        assert producer.flush(30) == 0 and not errors, errors
        for group in ["a", "b"]:
            consumer = Consumer({"bootstrap.servers": BOOT, "group.id": f"librdkafka-{codec}-{group}", "auto.offset.reset": "earliest"})
            consumer.subscribe([topic])
            got, end = {}, time.time() + 30
            while len(got) < RECORDS and time.time() < end:
                msg = consumer.poll(0.2)
                if msg is not None:
                    assert msg.error() is None, msg.error()
                    got[msg.key().decode()] = msg.value().decode()
            consumer.close()
            assert got == EXPECTED, f"{codec}: {len(got)} records"
    print("confluent-kafka ok")


def kafka_python():
    from kafka import KafkaConsumer, KafkaProducer

    for codec in [None, "gzip"]:
        topic = f"kafka-python-{codec}"
        producer = KafkaProducer(bootstrap_servers=BOOT, compression_type=codec)
        sent = [producer.send(topic, value.encode(), key.encode()) for key, value in EXPECTED.items()]
        for future in sent:
            future.get(30)
        producer.close()
        consumer = KafkaConsumer(topic, bootstrap_servers=BOOT, group_id=f"kafka-python-{codec}", auto_offset_reset="earliest")
        got, end = {}, time.time() + 30
        while len(got) < RECORDS and time.time() < end:
            for records in consumer.poll(200).values():
                got.update({r.key.decode(): r.value.decode() for r in records})
        consumer.close()
        assert got == EXPECTED, f"{codec}: {len(got)} records"
    print("kafka-python ok")


confluent()
kafka_python()
