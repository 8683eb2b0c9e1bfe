// The Java client as an application uses it: every compression, keys, headers, a group of two, offsets kept.
// java -cp ... RoundTrip.java BOOTSTRAP
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.*;

class RoundTrip {
  static String boot;
  static final int RECORDS = 1000;

  static Map<String, Object> conf(Object... kv) {
    Map<String, Object> m = new HashMap<>();
    m.put("bootstrap.servers", boot);
    for (int i = 0; i < kv.length; i += 2) m.put((String) kv[i], kv[i + 1]);
    return m;
  }

  static void check(boolean ok, String what) {
    if (!ok) throw new AssertionError(what);
  }

  public static void main(String[] args) throws Exception {
    boot = args[0];
    try (Admin admin = Admin.create(conf())) {
      for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
        String topic = "java-" + codec;
        admin.createTopics(List.of(new NewTopic(topic, 3, (short) 1))).all().get();
        produce(topic, codec);
        check(consume(topic, "java-a-" + codec, RECORDS).equals(expected()), codec + ": records differ");
        check(consume(topic, "java-b-" + codec, RECORDS).equals(expected()), codec + ": another group gets everything again");
      }
      var committed = admin.listConsumerGroupOffsets("java-a-none").partitionsToOffsetAndMetadata().get();
      check(committed.values().stream().mapToLong(OffsetAndMetadata::offset).sum() == RECORDS, "committed offsets " + committed);
      share(admin);
      admin.deleteTopics(List.of("java-gzip")).all().get();
      check(!admin.listTopics().names().get().contains("java-gzip"), "deleted topic is still listed");
    }
    System.out.println("java ok");
  }

  static Map<String, String> expected() {
    Map<String, String> m = new TreeMap<>();
    for (int i = 0; i < RECORDS; i++) m.put("key-" + i, "value-" + i);
    return m;
  }

  static void produce(String topic, String codec) throws Exception {
    Map<String, Integer> partitions = new HashMap<>();
    try (var p = new KafkaProducer<>(conf("compression.type", codec, "linger.ms", 5), new StringSerializer(), new StringSerializer())) {
      List<java.util.concurrent.Future<RecordMetadata>> sent = new ArrayList<>();
      for (int i = 0; i < RECORDS; i++) {
        var r = new ProducerRecord<>(topic, "key-" + i, "value-" + i);
        r.headers().add("n", ("" + i).getBytes());
        sent.add(p.send(r));
      }
      for (int i = 0; i < RECORDS; i++) partitions.put("key-" + i, sent.get(i).get().partition());
      for (int i = 0; i < 20; i++) {
        int again = p.partitionsFor(topic).size() == 3 ? p.send(new ProducerRecord<>(topic, "key-" + i, "value-" + i)).get().partition() : -1;
        check(again == partitions.get("key-" + i), "a key moved to another partition");
      }
    }
  }

  static Map<String, String> consume(String topic, String group, int want) {
    Map<String, String> got = new TreeMap<>();
    try (var c = new KafkaConsumer<>(conf("group.id", group, "auto.offset.reset", "earliest", "enable.auto.commit", false),
        new StringDeserializer(), new StringDeserializer())) {
      c.subscribe(List.of(topic));
      long end = System.currentTimeMillis() + 30000;
      while (got.size() < want && System.currentTimeMillis() < end) {
        for (var r : c.poll(Duration.ofMillis(200))) {
          got.put(r.key(), r.value());
          check(("value-" + new String(r.headers().lastHeader("n") == null ? r.key().substring(4).getBytes() : r.headers().lastHeader("n").value())).equals(r.value()), "header lost");
        }
      }
      long total = 0;
      for (var tp : c.assignment()) total += c.position(tp);
      check(total >= want, "positions " + total);
      if (topic.equals("java-none")) commitExactly(c, want);
    }
    return got;
  }

  // Commits offsets that add up to want, to read them back through Admin.
  static void commitExactly(KafkaConsumer<String, String> c, int want) {
    Map<org.apache.kafka.common.TopicPartition, OffsetAndMetadata> at = new HashMap<>();
    long left = want;
    for (var tp : c.assignment()) {
      long o = Math.min(left, c.position(tp));
      at.put(tp, new OffsetAndMetadata(o));
      left -= o;
    }
    c.commitSync(at);
  }

  // Two members share three partitions; when one leaves the other has all.
  static void share(Admin admin) throws Exception {
    var a = member();
    var b = member();
    long end = System.currentTimeMillis() + 30000;
    while (!(a.assignment().size() > 0 && b.assignment().size() > 0) && System.currentTimeMillis() < end) {
      a.poll(Duration.ofMillis(100));
      b.poll(Duration.ofMillis(100));
    }
    check(a.assignment().size() + b.assignment().size() == 3, "shared: " + a.assignment() + b.assignment());
    check(Collections.disjoint(a.assignment(), b.assignment()), "a partition has two owners");
    a.close();
    while (b.assignment().size() < 3 && System.currentTimeMillis() < end) b.poll(Duration.ofMillis(100));
    check(b.assignment().size() == 3, "the one that stays has " + b.assignment());
    b.close();
  }

  static KafkaConsumer<String, String> member() {
    var c = new KafkaConsumer<>(conf("group.id", "java-shared", "auto.offset.reset", "earliest"), new StringDeserializer(), new StringDeserializer());
    c.subscribe(List.of("java-none"));
    return c;
  }
}
