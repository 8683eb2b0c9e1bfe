import java.time.Duration;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** Every compression, keys, headers, times; groups of both protocols that share, resume, look patterns up and keep static members. */
class RoundTrip {
  static void classic(String boot) throws Exception {
    try (Admin admin = Admin.create(Data.conf(boot))) {
      for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
        String topic = "java-" + codec;
        Data.create(admin, topic);
        try (var p = Data.producer(boot, "compression.type", codec, "linger.ms", 5)) {
          Data.send(p, topic);
          Data.check(p.partitionsFor(topic).size() == Data.PARTITIONS, "partitionsFor");
        }
        Data.resume(boot, topic, topic + "-group");
        committed(admin, topic + "-group");
      }
    }
    groups(boot, "java-classic", "classic");
    for (String assignor : List.of("Range", "RoundRobin", "Sticky", "CooperativeSticky")) {
      Data.resume(boot, "java-none", "java-" + assignor, "partition.assignment.strategy", "org.apache.kafka.clients.consumer." + assignor + "Assignor");
    }
    positions(boot);
  }

  /** KIP-848: the broker assigns. */
  static void next(String boot) throws Exception {
    try (Admin admin = Admin.create(Data.conf(boot)); var p = Data.producer(boot)) {
      Data.create(admin, "java-next-data");
      Data.send(p, "java-next-data");
      for (String assignor : List.of("uniform", "range")) {
        String group = "java-next-" + assignor;
        Data.resume(boot, "java-next-data", group, "group.protocol", "consumer", "group.remote.assignor", assignor);
        committed(admin, group);
        var described = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
        Data.check(described.type().toString().equals("Consumer") && described.groupState().toString().equals("Empty"), described);
      }
      groups(boot, "java-next", "consumer");
      // A group moves from the classic protocol to the new one while its first member is there, and back.
      var old = member(boot, "java-migrated", "classic", "partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
      until(() -> old.assignment().size() == 3, old);
      var young = member(boot, "java-migrated", "consumer");
      until(() -> old.assignment().size() + young.assignment().size() == 3 && !young.assignment().isEmpty() && !old.assignment().isEmpty(), old, young);
      old.close();
      until(() -> young.assignment().size() == 3, young);
      young.close();
    }
  }

  static void committed(Admin admin, String group) throws Exception {
    var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
    Data.check(offsets.values().stream().mapToLong(OffsetAndMetadata::offset).sum() == Data.RECORDS, "committed", offsets);
  }

  interface Condition {
    boolean holds();
  }

  @SafeVarargs
  static void until(Condition c, KafkaConsumer<String, String>... members) {
    long end = System.currentTimeMillis() + Data.PATIENCE;
    while (!c.holds() && System.currentTimeMillis() < end) for (var m : members) m.poll(Duration.ofMillis(50));
    StringBuilder s = new StringBuilder();
    for (var m : members) s.append(m.assignment());
    Data.check(c.holds(), "assigned:", s);
  }

  static KafkaConsumer<String, String> member(String boot, String group, String protocol, Object... kv) {
    var c = Data.consumer(boot, group, with(kv, "group.protocol", protocol));
    c.subscribe(List.of("java-next-data"));
    return c;
  }

  static Object[] with(Object[] kv, Object... more) {
    Object[] all = java.util.Arrays.copyOf(kv, kv.length + more.length);
    System.arraycopy(more, 0, all, kv.length, more.length);
    return all;
  }

  static void groups(String boot, String name, String protocol) throws Exception {
    String data = name.equals("java-next") ? "java-next-data" : "java-none";
    // Two members share; when one leaves, the other has all.
    var a = Data.consumer(boot, name + "-shared", "group.protocol", protocol);
    var b = Data.consumer(boot, name + "-shared", "group.protocol", protocol);
    Set<TopicPartition> revoked = new HashSet<>();
    a.subscribe(List.of(data), new ConsumerRebalanceListener() {
      public void onPartitionsAssigned(Collection<TopicPartition> parts) {}

      public void onPartitionsRevoked(Collection<TopicPartition> parts) {
        revoked.addAll(parts);
      }
    });
    until(() -> a.assignment().size() == 3, a);
    b.subscribe(List.of(data));
    until(() -> !b.assignment().isEmpty() && a.assignment().size() + b.assignment().size() == 3, a, b);
    Data.check(Collections.disjoint(a.assignment(), b.assignment()), "a partition has two owners");
    Data.check(revoked.containsAll(b.assignment()), "revoked", revoked, "assigned", b.assignment());
    try (Admin admin = Admin.create(Data.conf(boot))) {
      var g = admin.describeConsumerGroups(List.of(name + "-shared")).all().get().get(name + "-shared");
      Data.check(g.members().size() == 2 && g.groupState().toString().equals("Stable"), g);
      Data.check(g.members().stream().mapToInt(m -> m.assignment().topicPartitions().size()).sum() == 3, g);
    }
    a.close();
    until(() -> b.assignment().size() == 3, b);
    b.close();

    // A pattern finds topics, and those that come later.
    try (Admin admin = Admin.create(Data.conf(boot)); var c = Data.consumer(boot, name + "-pattern", "group.protocol", protocol, "metadata.max.age.ms", 500)) {
      Data.create(admin, name + "-pattern-1");
      if (protocol.equals("consumer")) c.subscribe(new org.apache.kafka.clients.consumer.SubscriptionPattern(name + "-pattern-.*"));
      else c.subscribe(Pattern.compile(name + "-pattern-.*"));
      until(() -> c.assignment().size() == 3, c);
      Data.create(admin, name + "-pattern-2");
      until(() -> c.assignment().size() == 6, c);
    }

    // A static member that comes back gets its partitions without a rebalance of the others.
    var first = Data.consumer(boot, name + "-static", "group.protocol", protocol, "group.instance.id", "one");
    var second = Data.consumer(boot, name + "-static", "group.protocol", protocol, "group.instance.id", "two");
    first.subscribe(List.of(data));
    second.subscribe(List.of(data));
    until(() -> !first.assignment().isEmpty() && !second.assignment().isEmpty() && first.assignment().size() + second.assignment().size() == 3, first, second);
    Set<TopicPartition> had = Set.copyOf(first.assignment());
    first.close();
    var again = Data.consumer(boot, name + "-static", "group.protocol", protocol, "group.instance.id", "one");
    again.subscribe(List.of(data));
    until(() -> again.assignment().size() == had.size(), again, second);
    Data.check(again.assignment().equals(had), "had", had, "got", again.assignment());
    again.close();
    second.close();
  }

  /** Seeks, beginnings, ends, offsets for times, pause. */
  static void positions(String boot) {
    try (var c = Data.consumer(boot, "java-positions")) {
      List<TopicPartition> parts = List.of(new TopicPartition("java-none", 0), new TopicPartition("java-none", 1), new TopicPartition("java-none", 2));
      c.assign(parts);
      Data.check(c.beginningOffsets(parts).values().stream().allMatch(o -> o == 0), "beginnings");
      Data.check(c.endOffsets(parts).values().stream().mapToLong(o -> o).sum() == Data.RECORDS, "ends");
      java.util.Map<TopicPartition, Long> when = new java.util.HashMap<>();
      for (var p : parts) when.put(p, Data.FIRST_TIME + Data.RECORDS / 2);
      Data seen = new Data();
      for (int n = 0; n < Data.RECORDS / 2; n++) seen.got.add(n); // what is older must not come
      c.offsetsForTimes(when).forEach((p, o) -> c.seek(p, o.offset()));
      c.pause(parts);
      Data.check(c.poll(Duration.ofMillis(300)).isEmpty(), "a paused consumer got records");
      c.resume(parts);
      seen.read(c, Data.RECORDS);
      c.seek(parts.get(0), 1_000_000);
      long end = System.currentTimeMillis() + Data.PATIENCE;
      while (c.position(parts.get(0)) > Data.RECORDS && System.currentTimeMillis() < end) c.poll(Duration.ofMillis(100));
      Data.check(c.position(parts.get(0)) < Data.RECORDS, "out of range was not reset:", c.position(parts.get(0)));
    }
  }
}
