import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;

/** Calls about the cluster that must have an answer with one broker: directories, elections, reassignments, quorum, features, quotas. */
class ClusterCalls {
  static void run(String boot) throws Exception {
    try (Admin admin = Admin.create(Data.conf(boot)); var p = Data.producer(boot)) {
      Data.create(admin, "java-cluster");
      Data.send(p, "java-cluster");
      int node = admin.describeCluster().nodes().get().iterator().next().id();
      var zero = new TopicPartition("java-cluster", 0);

      var dirs = admin.describeLogDirs(List.of(node)).allDescriptions().get().get(node);
      Data.check(dirs.values().stream().mapToInt(d -> d.replicaInfos().containsKey(zero) ? 1 : 0).sum() == 1, dirs);
      Data.check(dirs.values().stream().allMatch(d -> d.totalBytes().getAsLong() > 0 && d.usableBytes().getAsLong() > 0), "volume sizes");
      var replica = new TopicPartitionReplica("java-cluster", 0, node);
      String dir = admin.describeReplicaLogDirs(List.of(replica)).all().get().get(replica).getCurrentReplicaLogDir();
      Data.check(dirs.containsKey(dir), dir, dirs.keySet());
      admin.alterReplicaLogDirs(Map.of(replica, dir)).all().get(); // where it is already
      Data.check(Data.refusal(admin.alterReplicaLogDirs(Map.of(replica, "/no/such/dir")).all()).equals("LogDirNotFoundException"), "unknown directory");

      Data.check(admin.electLeaders(ElectionType.PREFERRED, Set.of(zero)).partitions().get().get(zero)
          .filter(e -> e.getClass().getSimpleName().equals("ElectionNotNeededException")).isPresent(), "election");
      admin.electLeaders(ElectionType.PREFERRED, null).all().get();

      admin.alterPartitionReassignments(Map.of(zero, Optional.of(new NewPartitionReassignment(List.of(node))))).all().get();
      Data.eventually(() -> admin.listPartitionReassignments().reassignments().get().size(), 0);
      Data.check(Data.refusal(admin.alterPartitionReassignments(Map.of(zero, Optional.of(new NewPartitionReassignment(List.of(77))))).all())
          .equals("InvalidReplicaAssignmentException"), "reassigned to a broker that is not there");
      Data.check(Data.refusal(admin.alterPartitionReassignments(Map.of(zero, Optional.empty())).all()).equals("NoReassignmentInProgressException"), "cancelled nothing");

      var quorum = admin.describeMetadataQuorum().quorumInfo().get();
      Data.check(quorum.leaderId() == node && quorum.voters().size() == 1 && quorum.voters().get(0).replicaId() == node, quorum);

      var features = admin.describeFeatures().featureMetadata().get();
      Data.check(features.finalizedFeatures().containsKey("metadata.version") && features.supportedFeatures().containsKey("group.version"), features);
    }
  }

  static void quotas(String boot) throws Exception {
    try (Admin admin = Admin.create(Data.conf(boot))) {
      var entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, "java-quota"));
      var filter = ClientQuotaFilter.containsOnly(List.of(ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.CLIENT_ID, "java-quota")));
      admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 8_000.0))))).all().get();
      Data.eventually(() -> admin.describeClientQuotas(filter).entities().get(), Map.of(entity, Map.of("producer_byte_rate", 8_000.0)));
      // The rate is counted over ten seconds: what goes beyond 80 kB waits, before the last of 120 kB 3.75 s in all.
      Data.create(admin, "java-quota");
      long start = System.nanoTime();
      try (var p = Data.producer(boot, "client.id", "java-quota", "batch.size", 16_000, "linger.ms", 0)) {
        for (int i = 0; i < 12; i++) p.send(new org.apache.kafka.clients.producer.ProducerRecord<>("java-quota", "x".repeat(10_000))).get();
        double throttled = (Double) p.metrics().entrySet().stream().filter(e -> e.getKey().name().equals("produce-throttle-time-max")).findFirst().get().getValue().metricValue();
        Data.check(throttled > 0, "no throttle time was told");
      }
      Data.check(System.nanoTime() - start > 1_000_000_000L, "120 kB were not slowed down");
      admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", null))))).all().get();
      Data.eventually(() -> admin.describeClientQuotas(filter).entities().get().size(), 0);
      Data.check(Data.refusal(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op("nonsense", 1.0))))).all())
          .equals("InvalidRequestException"), "an unknown quota");
    }
  }
}
