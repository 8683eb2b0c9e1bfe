import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Produced;

/** Kafka Streams with exactly_once_v2: counts by a new key (so through a repartition topic), restarts without its state, counts on. */
class Streams {
  static final String ID = "java-streams";
  static final int WORDS = 7;

  static void run(String boot) throws Exception {
    Path state = Files.createTempDirectory("interop-streams");
    try (Admin admin = Admin.create(Data.conf(boot))) {
      Data.create(admin, "java-streams-in", "java-streams-out");
      write(boot, 0, 600);
      round(boot, state, 600);
      wipe(state); // the count must come back from the changelog
      write(boot, 600, 1000);
      round(boot, state, 1000);
      var topics = admin.listTopics().names().get();
      Data.check(topics.stream().anyMatch(t -> t.startsWith(ID) && t.endsWith("-changelog")) && topics.stream().anyMatch(t -> t.startsWith(ID) && t.endsWith("-repartition")), topics);
    } finally {
      wipe(state);
    }
  }

  static void wipe(Path dir) throws Exception {
    try (var files = Files.walk(dir)) {
      for (Path p : files.sorted(Comparator.reverseOrder()).toList()) Files.deleteIfExists(p);
    }
  }

  static void write(String boot, int from, int to) throws Exception {
    try (var p = Data.producer(boot)) {
      for (int n = from; n < to; n++) p.send(new ProducerRecord<>("java-streams-in", "key-" + n, "word-" + n % WORDS));
    }
  }

  /** Runs the topology until the counts are those of all records that were written. */
  static void round(String boot, Path state, int records) throws Exception {
    Properties p = new Properties();
    p.putAll(Data.conf(boot, "application.id", ID, "processing.guarantee", "exactly_once_v2", "state.dir", state.toString(), "num.stream.threads", 2,
        "commit.interval.ms", 100, "session.timeout.ms", 6000, "heartbeat.interval.ms", 500, "auto.offset.reset", "earliest", "default.key.serde", Serdes.StringSerde.class, "default.value.serde", Serdes.StringSerde.class));
    StreamsBuilder b = new StreamsBuilder();
    b.<String, String>stream("java-streams-in").groupBy((k, v) -> v).count().toStream().to("java-streams-out", Produced.with(Serdes.String(), Serdes.Long()));
    try (KafkaStreams s = new KafkaStreams(b.build(), p)) {
      s.start();
      Map<String, Long> want = new HashMap<>();
      for (int n = 0; n < records; n++) want.merge("word-" + n % WORDS, 1L, Long::sum);
      Map<String, Long> got = new HashMap<>();
      var conf = Data.conf(boot, "group.id", "java-streams-reader-" + records, "auto.offset.reset", "earliest", "isolation.level", "read_committed");
      try (var c = new KafkaConsumer<>(conf, new StringDeserializer(), new LongDeserializer())) {
        c.subscribe(List.of("java-streams-out"));
        long end = System.currentTimeMillis() + Data.PATIENCE;
        while (!got.equals(want) && System.currentTimeMillis() < end) {
          for (var r : c.poll(Duration.ofMillis(200))) {
            Data.check(got.getOrDefault(r.key(), 0L) < r.value(), "a count went back:", r);
            got.put(r.key(), r.value());
          }
        }
        Data.check(got.equals(want), "counted", got, "instead of", want);
      }
    }
  }
}
