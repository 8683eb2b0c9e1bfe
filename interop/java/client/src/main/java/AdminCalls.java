import static org.apache.kafka.clients.admin.AlterConfigOp.OpType.APPEND;
import static org.apache.kafka.clients.admin.AlterConfigOp.OpType.DELETE;
import static org.apache.kafka.clients.admin.AlterConfigOp.OpType.SET;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** The Java admin client on topics, their configurations, offsets and groups. */
class AdminCalls {
  static final String TOPIC = "java-admin";
  static final String GROUP = "java-admin-group";
  static final ConfigResource CONFIG = new ConfigResource(ConfigResource.Type.TOPIC, TOPIC);

  static void run(String boot) throws Exception {
    try (Admin admin = Admin.create(Data.conf(boot)); var p = Data.producer(boot)) {
      topics(admin);
      Data.send(p, TOPIC);
      Data.resume(boot, TOPIC, GROUP);
      configs(admin);
      offsets(admin);
      groups(admin, boot);
      admin.deleteTopics(TopicCollection.ofTopicNames(List.of(TOPIC))).all().get();
      Data.eventually(() -> admin.listTopics().names().get().contains(TOPIC), false);
    }
  }

  static void topics(Admin admin) throws Exception {
    var topic = new NewTopic(TOPIC, 2, (short) 1).configs(Map.of("retention.ms", "3600000"));
    admin.createTopics(List.of(topic), new CreateTopicsOptions().validateOnly(true)).all().get();
    Data.check(!admin.listTopics().names().get().contains(TOPIC), "a validation created a topic");
    var created = admin.createTopics(List.of(topic));
    created.all().get();
    Data.check(created.numPartitions(TOPIC).get() == 2 && created.config(TOPIC).get().get("retention.ms").value().equals("3600000"), "created");
    Data.check(Data.refusal(admin.createTopics(List.of(topic)).all()).equals("TopicExistsException"), "created twice");
    Data.check(Data.refusal(admin.createTopics(List.of(new NewTopic("bad/name", 1, (short) 1))).all()).equals("InvalidTopicException"), "bad name");
    Data.check(Data.refusal(admin.createTopics(List.of(new NewTopic("rf", 1, (short) 3))).all()).equals("InvalidReplicationFactorException"), "replication");
    Data.check(Data.refusal(admin.createTopics(List.of(new NewTopic("conf", 1, (short) 1).configs(Map.of("nonsense", "1")))).all())
        .equals("InvalidConfigurationException"), "bad configuration");
    admin.createPartitions(Map.of(TOPIC, NewPartitions.increaseTo(Data.PARTITIONS))).all().get();
    Data.eventually(() -> admin.describeTopics(List.of(TOPIC)).allTopicNames().get().get(TOPIC).partitions().size(), Data.PARTITIONS);
    Data.check(Data.refusal(admin.createPartitions(Map.of(TOPIC, NewPartitions.increaseTo(1))).all()).equals("InvalidPartitionsException"), "fewer partitions");
    var id = created.topicId(TOPIC).get();
    Data.check(admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get().get(id).name().equals(TOPIC), "describe by id");
    Data.check(Data.refusal(admin.describeTopics(List.of("no-such-topic")).allTopicNames()).equals("UnknownTopicOrPartitionException"), "unknown topic");
    var cluster = admin.describeCluster();
    Data.check(cluster.nodes().get().size() == 1 && cluster.controller().get() != null && !cluster.clusterId().get().isEmpty(), "cluster");
  }

  static void configs(Admin admin) throws Exception {
    alter(admin, "max.message.bytes", "100000", SET);
    Data.eventually(() -> config(admin, "max.message.bytes").value(), "100000");
    Data.check(config(admin, "max.message.bytes").source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, config(admin, "max.message.bytes"));
    alter(admin, "cleanup.policy", "compact", APPEND);
    Data.eventually(() -> config(admin, "cleanup.policy").value(), "delete,compact");
    alter(admin, "max.message.bytes", "", DELETE);
    Data.eventually(() -> config(admin, "max.message.bytes").isDefault(), true);
    var bad = admin.incrementalAlterConfigs(Map.of(CONFIG, List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "soon"), SET)))).all();
    Data.check(Data.refusal(bad).equals("InvalidConfigurationException"), "a bad value");
    var node = new ConfigResource(ConfigResource.Type.BROKER, admin.describeCluster().nodes().get().iterator().next().idString());
    Data.check(admin.describeConfigs(List.of(node)).all().get().get(node).get("log.retention.ms") != null, "broker configuration");
  }

  static void alter(Admin admin, String name, String value, AlterConfigOp.OpType op) throws Exception {
    admin.incrementalAlterConfigs(Map.of(CONFIG, List.of(new AlterConfigOp(new ConfigEntry(name, value), op)))).all().get();
  }

  static ConfigEntry config(Admin admin, String name) throws Exception {
    return admin.describeConfigs(List.of(CONFIG)).all().get().get(CONFIG).get(name);
  }

  static Map<TopicPartition, OffsetSpec> all(OffsetSpec spec) {
    Map<TopicPartition, OffsetSpec> m = new HashMap<>();
    for (int p = 0; p < Data.PARTITIONS; p++) m.put(new TopicPartition(TOPIC, p), spec);
    return m;
  }

  static long sum(Admin admin, OffsetSpec spec) throws Exception {
    return admin.listOffsets(all(spec)).all().get().values().stream().mapToLong(o -> o.offset()).sum();
  }

  static void offsets(Admin admin) throws Exception {
    long first = sum(admin, OffsetSpec.earliest());
    long last = sum(admin, OffsetSpec.latest());
    Data.check(first == 0 && last == Data.RECORDS, "ends", first, last);
    Data.check(sum(admin, OffsetSpec.forTimestamp(Data.FIRST_TIME + Data.RECORDS / 2)) == Data.RECORDS / 2, "by time");
    long newest = admin.listOffsets(all(OffsetSpec.maxTimestamp())).all().get().values().stream().mapToLong(o -> o.timestamp()).max().getAsLong();
    Data.check(newest == Data.FIRST_TIME + Data.RECORDS - 1, "newest", newest);
    Data.check(sum(admin, OffsetSpec.earliestLocal()) == 0, "earliest local");
  }

  static void groups(Admin admin, String boot) throws Exception {
    Data.check(admin.listConsumerGroups().all().get().stream().anyMatch(g -> g.groupId().equals(GROUP)), "list consumer groups");
    Data.check(admin.listGroups(ListGroupsOptions.forConsumerGroups()).all().get().stream().anyMatch(g -> g.groupId().equals(GROUP)), "list groups");
    var described = admin.describeConsumerGroups(List.of(GROUP)).all().get().get(GROUP);
    Data.check(described.groupState().toString().equals("Empty") && described.members().isEmpty(), described);
    Data.check(Data.refusal(admin.describeConsumerGroups(List.of("no-such-group")).all()).equals("GroupIdNotFoundException"), "unknown group");
    var zero = new TopicPartition(TOPIC, 0);
    admin.alterConsumerGroupOffsets(GROUP, Map.of(zero, new OffsetAndMetadata(5, "by hand"))).all().get();
    var got = admin.listConsumerGroupOffsets(Map.of(GROUP, new ListConsumerGroupOffsetsSpec())).all().get().get(GROUP).get(zero);
    Data.check(got.offset() == 5 && got.metadata().equals("by hand"), got);
    try (var c = Data.consumer(boot, GROUP, "group.instance.id", "static")) {
      c.subscribe(List.of(TOPIC));
      RoundTrip.until(() -> c.assignment().size() == 3, c);
      Data.check(Data.refusal(admin.deleteConsumerGroups(List.of(GROUP)).all()).equals("GroupNotEmptyException"), "deleted a group with members");
    }
    admin.removeMembersFromConsumerGroup(GROUP, new RemoveMembersFromConsumerGroupOptions()).all().get();
    Data.eventually(() -> admin.describeConsumerGroups(List.of(GROUP)).all().get().get(GROUP).members().size(), 0);
  }

  /** DeleteRecords, OffsetDelete, DeleteGroups. */
  static void deleteRecords(String boot) throws Exception {
    String topic = "java-purge";
    var zero = new TopicPartition(topic, 0);
    try (Admin admin = Admin.create(Data.conf(boot)); var p = Data.producer(boot)) {
      Data.create(admin, topic);
      Data.send(p, topic);
      Data.check(admin.deleteRecords(Map.of(zero, RecordsToDelete.beforeOffset(10))).lowWatermarks().get(zero).get().lowWatermark() == 10, "low watermark");
      Data.check(admin.listOffsets(Map.of(zero, OffsetSpec.earliest())).all().get().get(zero).offset() == 10, "log start");
      Data.check(Data.refusal(admin.deleteRecords(Map.of(zero, RecordsToDelete.beforeOffset(100_000))).all()).equals("OffsetOutOfRangeException"), "beyond the end");
      long end = admin.listOffsets(Map.of(zero, OffsetSpec.latest())).all().get().get(zero).offset();
      Data.check(admin.deleteRecords(Map.of(zero, RecordsToDelete.beforeOffset(-1))).lowWatermarks().get(zero).get().lowWatermark() == end, "to the end");
      admin.alterConsumerGroupOffsets("java-purge-group", Map.of(zero, new OffsetAndMetadata(5))).all().get();
      admin.deleteConsumerGroupOffsets("java-purge-group", Set.of(zero)).all().get();
      Data.check(admin.listConsumerGroupOffsets("java-purge-group").partitionsToOffsetAndMetadata().get().isEmpty(), "offset delete");
      admin.alterConsumerGroupOffsets("java-purge-group", Map.of(zero, new OffsetAndMetadata(5))).all().get();
      admin.deleteConsumerGroups(List.of("java-purge-group")).all().get();
      Data.check(Data.refusal(admin.deleteConsumerGroups(List.of("java-purge-group")).all()).equals("GroupIdNotFoundException"), "deleted twice");
    }
  }
}
