import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** What every client writes and what it must read again: each record once, unchanged, in the order of its partition. */
class Data {
  static final int RECORDS = 1000;
  static final int PARTITIONS = 3;
  static final int HALF = 400; // where a consumer stops, for another one to go on
  static final long PATIENCE = 60_000;
  static final long FIRST_TIME = 1_700_000_000_000L;

  static Map<String, Object> conf(String boot, Object... kv) {
    Map<String, Object> m = new HashMap<>();
    m.put("bootstrap.servers", boot);
    for (int i = 0; i < kv.length; i += 2) m.put((String) kv[i], kv[i + 1]);
    return m;
  }

  static void check(boolean ok, Object... what) {
    if (ok) return;
    StringBuilder s = new StringBuilder();
    for (Object w : what) s.append(w).append(' ');
    throw new AssertionError(s.toString());
  }

  /** Retries: a change of metadata may be acknowledged before every read shows it. */
  static <T> void eventually(Callable<T> get, T want) throws Exception {
    T got = get.call();
    for (long end = System.currentTimeMillis() + PATIENCE; !want.equals(got) && System.currentTimeMillis() < end; got = get.call()) Thread.sleep(20);
    check(want.equals(got), "wanted", want, "got", got);
  }

  /** What a refused call says, by the name of its exception. */
  static String refusal(Future<?> call) throws InterruptedException {
    try {
      call.get();
      return "none";
    } catch (java.util.concurrent.ExecutionException e) {
      return e.getCause().getClass().getSimpleName();
    }
  }

  static void create(Admin admin, String... topics) throws Exception {
    List<NewTopic> all = new ArrayList<>();
    for (String t : topics) all.add(new NewTopic(t, PARTITIONS, (short) 1));
    admin.createTopics(all).all().get();
  }

  static ProducerRecord<String, String> record(String topic, int n) {
    var r = new ProducerRecord<>(topic, null, FIRST_TIME + n, "key-" + n, "value-" + n);
    r.headers().add("n", ("" + n).getBytes());
    return r;
  }

  static KafkaProducer<String, String> producer(String boot, Object... kv) {
    return new KafkaProducer<>(conf(boot, kv), new StringSerializer(), new StringSerializer());
  }

  static KafkaConsumer<String, String> consumer(String boot, String group, Object... kv) {
    Map<String, Object> m = conf(boot, kv);
    m.put("group.id", group);
    m.put("auto.offset.reset", "earliest");
    m.put("enable.auto.commit", false);
    m.put("max.poll.records", 100);
    if (!"consumer".equals(m.get("group.protocol"))) m.put("heartbeat.interval.ms", 200); // so that rebalances take no seconds
    return new KafkaConsumer<>(m, new StringDeserializer(), new StringDeserializer());
  }

  static void send(KafkaProducer<String, String> p, String topic) throws Exception {
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    for (int n = 0; n < RECORDS; n++) sent.add(p.send(record(topic, n)));
    for (var s : sent) s.get();
  }

  /** A second member goes on where the first one has committed. */
  static void resume(String boot, String topic, String group, Object... kv) {
    Data seen = new Data();
    for (int until : new int[] {HALF, RECORDS}) {
      try (var c = consumer(boot, group, kv)) {
        c.subscribe(List.of(topic));
        seen.read(c, until);
        c.commitSync();
      }
    }
    seen.all();
  }

  final Set<Integer> got = new HashSet<>();
  final Map<Integer, long[]> last = new HashMap<>();

  void read(KafkaConsumer<String, String> c, int until) {
    long end = System.currentTimeMillis() + PATIENCE;
    while (got.size() < until && System.currentTimeMillis() < end) {
      for (var r : c.poll(Duration.ofMillis(200))) add(r);
    }
    check(got.size() >= until, got.size(), "records of", until);
  }

  void add(ConsumerRecord<String, String> r) {
    int n = Integer.parseInt(r.key().substring(4));
    var h = r.headers().lastHeader("n");
    check(r.value().equals("value-" + n) && h != null && new String(h.value()).equals("" + n) && r.timestamp() == FIRST_TIME + n, "damaged:", r);
    check(got.add(n), "came twice:", r);
    long[] before = last.put(r.partition(), new long[] {r.offset(), n});
    check(before == null || (before[0] < r.offset() && before[1] < n), "out of order:", r);
  }

  void all() {
    check(got.size() == RECORDS, got.size(), "records of", RECORDS);
  }
}
