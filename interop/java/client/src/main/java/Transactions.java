import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;

/** Transactions: copy with aborts, offsets in the transaction, fencing, time-outs, and what the admin client tells and does about them. */
class Transactions {
  static final String IN = "java-txn-in";
  static final String OUT = "java-txn-out";

  static void run(String boot) throws Exception {
    try (Admin admin = Admin.create(Data.conf(boot))) {
      Data.create(admin, IN, OUT);
      try (var p = Data.producer(boot)) {
        Data.send(p, IN);
      }
      copy(boot, "classic");
      RoundTrip.committed(admin, "java-txn-classic");
      Data seen = new Data();
      try (var c = Data.consumer(boot, "java-txn-reader", "isolation.level", "read_committed")) {
        c.subscribe(List.of(OUT));
        seen.read(c, Data.RECORDS);
        Data.check(c.poll(Duration.ofMillis(500)).isEmpty(), "more than was committed");
      }
      long end = admin.listOffsets(Map.of(new TopicPartition(OUT, 0), OffsetSpec.latest(), new TopicPartition(OUT, 1), OffsetSpec.latest(),
          new TopicPartition(OUT, 2), OffsetSpec.latest())).all().get().values().stream().mapToLong(o -> o.offset()).sum();
      Data.check(end > 2 * Data.RECORDS, "the aborted records were never there:", end);
      fencing(boot);
      open(boot, admin);
    }
  }

  /** Copies IN to OUT; every batch is aborted first and then committed, with its offsets. */
  static void copy(String boot, String protocol) throws Exception {
    String group = "java-txn-" + protocol;
    try (var p = Data.producer(boot, "transactional.id", group); var c = Data.consumer(boot, group, "group.protocol", protocol, "isolation.level", "read_committed")) {
      p.initTransactions();
      c.subscribe(List.of(IN));
      int copied = 0;
      for (long end = System.currentTimeMillis() + Data.PATIENCE; copied < Data.RECORDS && System.currentTimeMillis() < end; ) {
        var batch = c.poll(Duration.ofMillis(500));
        if (batch.isEmpty()) continue;
        for (boolean commit : new boolean[] {false, true}) {
          p.beginTransaction();
          for (var r : batch) p.send(new ProducerRecord<>(OUT, r.partition(), r.timestamp(), r.key(), r.value(), r.headers()));
          Map<TopicPartition, OffsetAndMetadata> at = new HashMap<>();
          for (var tp : batch.partitions()) at.put(tp, new OffsetAndMetadata(c.position(tp)));
          p.sendOffsetsToTransaction(at, c.groupMetadata());
          p.flush(); // an abort forgets what was not sent yet
          if (commit) p.commitTransaction();
          else p.abortTransaction();
        }
        copied += batch.count();
      }
      Data.check(copied == Data.RECORDS, copied, "copied");
    }
  }

  static String name(Runnable call) {
    try {
      call.run();
      return "none";
    } catch (RuntimeException e) {
      return e.getClass().getSimpleName();
    }
  }

  static void fencing(String boot) throws Exception {
    try (var zombie = Data.producer(boot, "transactional.id", "java-fenced"); var heir = Data.producer(boot, "transactional.id", "java-fenced")) {
      zombie.initTransactions();
      zombie.beginTransaction();
      zombie.send(new ProducerRecord<>(OUT, "zombie")).get();
      heir.initTransactions(); // aborts the zombie's
      String refused = name(() -> {
        zombie.send(new ProducerRecord<>(OUT, "zombie again"));
        zombie.commitTransaction();
      });
      Data.check(refused.equals("ProducerFencedException") || refused.equals("InvalidProducerEpochException"), "zombie:", refused);
      heir.beginTransaction();
      heir.abortTransaction();
    }
    // A group's generation fences offsets of members that are gone.
    try (var p = Data.producer(boot, "transactional.id", "java-fenced-offsets"); var c = Data.consumer(boot, "java-fenced-group")) {
      c.subscribe(List.of(IN));
      RoundTrip.until(() -> c.assignment().size() == 3, c);
      var stale = c.groupMetadata();
      c.unsubscribe();
      p.initTransactions();
      p.beginTransaction();
      String refused = name(() -> {
        p.sendOffsetsToTransaction(Map.of(new TopicPartition(IN, 0), new OffsetAndMetadata(1)), stale);
        p.commitTransaction();
      });
      Data.check(refused.equals("CommitFailedException"), "stale member:", refused);
      p.abortTransaction();
    }
  }

  static long end(Admin admin, TopicPartition tp, IsolationLevel level) throws Exception {
    return admin.listOffsets(Map.of(tp, OffsetSpec.latest()), new ListOffsetsOptions(level)).all().get().get(tp).offset();
  }

  /** An open transaction holds read_committed back, until its time-out. */
  static void open(String boot, Admin admin) throws Exception {
    Data.create(admin, "java-txn-open");
    var zero = new TopicPartition("java-txn-open", 0);
    try (var p = Data.producer(boot, "transactional.id", "java-txn-open", "transaction.timeout.ms", 10_000); var plain = Data.producer(boot)) {
      p.initTransactions();
      p.beginTransaction();
      p.send(new ProducerRecord<>("java-txn-open", 0, "k", "never committed")).get();
      plain.send(new ProducerRecord<>("java-txn-open", 0, "k", "after it")).get();
      Data.check(end(admin, zero, IsolationLevel.READ_COMMITTED) == 0 && end(admin, zero, IsolationLevel.READ_UNCOMMITTED) == 2, "last stable offset");
      try (var c = Data.consumer(boot, "java-txn-open", "isolation.level", "read_committed")) {
        c.assign(List.of(zero));
        Data.check(c.poll(Duration.ofMillis(500)).isEmpty(), "read_committed reads beyond an open transaction");
        long end = System.currentTimeMillis() + 10_000 + Data.PATIENCE;
        String got = null;
        while (got == null && System.currentTimeMillis() < end) for (var r : c.poll(Duration.ofMillis(200))) got = r.value();
        Data.check("after it".equals(got), "after the time-out:", got);
      }
      Data.check(end(admin, zero, IsolationLevel.READ_COMMITTED) == 3, "the marker");
      p.abortTransaction(); // nobody took its id: it learns its next epoch, and goes on
      p.beginTransaction();
      p.send(new ProducerRecord<>("java-txn-open", 0, "k", "committed")).get();
      p.commitTransaction();
      Data.eventually(() -> end(admin, zero, IsolationLevel.READ_COMMITTED), 5L);
    }
  }

  static void admin(String boot) throws Exception {
    try (Admin admin = Admin.create(Data.conf(boot)); var p = Data.producer(boot, "transactional.id", "java-txn-admin")) {
      Data.create(admin, "java-txn-admin");
      var zero = new TopicPartition("java-txn-admin", 0);
      begin(p);
      var listed = admin.listTransactions().all().get().stream().filter(t -> t.transactionalId().equals("java-txn-admin")).findFirst().get();
      Data.check(listed.state().toString().equals("Ongoing"), listed);
      Data.check(admin.listTransactions(new ListTransactionsOptions().filterOnDuration(600_000)).all().get().stream().noneMatch(t -> t.transactionalId().equals("java-txn-admin")), "by duration");
      var described = admin.describeTransactions(List.of("java-txn-admin")).all().get().get("java-txn-admin");
      Data.check(described.topicPartitions().contains(zero) && described.transactionStartTimeMs().isPresent(), described);
      Data.check(Data.refusal(admin.describeTransactions(List.of("no-such-id")).all()).equals("TransactionalIdNotFoundException"), "unknown id");
      var producer = admin.describeProducers(List.of(zero)).all().get().get(zero).activeProducers().get(0);
      Data.check(producer.currentTransactionStartOffset().getAsLong() == 0 && producer.producerId() == listed.producerId(), producer);

      admin.abortTransaction(new AbortTransactionSpec(zero, producer.producerId(), (short) producer.producerEpoch(), producer.coordinatorEpoch().orElse(0))).all().get();
      Data.eventually(() -> end(admin, zero, IsolationLevel.READ_COMMITTED), 2L);
    }
    try (Admin admin = Admin.create(Data.conf(boot)); var p = Data.producer(boot, "transactional.id", "java-txn-fence")) {
      begin(p);
      admin.fenceProducers(List.of("java-txn-fence")).all().get();
      String refused = name(p::commitTransaction);
      Data.check(refused.equals("ProducerFencedException") || refused.equals("InvalidProducerEpochException"), "fenced by hand:", refused);
    }
    try (Admin admin = Admin.create(Data.conf(boot)); var p = Data.producer(boot, "transactional.id", "java-txn-terminate")) {
      begin(p);
      admin.forceTerminateTransaction("java-txn-terminate").result().get();
      var zero = new TopicPartition("java-txn-admin", 0);
      Data.eventually(() -> end(admin, zero, IsolationLevel.READ_COMMITTED) == end(admin, zero, IsolationLevel.READ_UNCOMMITTED), true);
    }
  }

  static void begin(KafkaProducer<String, String> p) throws Exception {
    p.initTransactions();
    p.beginTransaction();
    p.send(new ProducerRecord<>("java-txn-admin", 0, "k", "open")).get();
  }
}
