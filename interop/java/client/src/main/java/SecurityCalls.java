import java.util.List;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** SCRAM credentials and access control lists by the Java admin client, as a super user. */
class SecurityCalls {
  static void scram(String boot) throws Exception {
    try (Admin admin = Admin.create(Data.conf(boot))) {
      for (var mechanism : List.of(ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)) {
        admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion("java-user", new ScramCredentialInfo(mechanism, 8192), "secret"))).all().get();
      }
      Data.eventually(() -> admin.describeUserScramCredentials(List.of("java-user")).description("java-user").get().credentialInfos().size(), 2);
      for (var mechanism : List.of(ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)) {
        admin.alterUserScramCredentials(List.of(new UserScramCredentialDeletion("java-user", mechanism))).all().get();
      }
      Data.eventually(() -> admin.describeUserScramCredentials().users().get().contains("java-user"), false);
      String refused = Data.refusal(admin.describeUserScramCredentials(List.of("java-user")).description("java-user"));
      Data.check(refused.equals("ResourceNotFoundException"), "a deleted user:", refused);
    }
  }

  static void acls(String boot) throws Exception {
    try (Admin admin = Admin.create(Data.conf(boot))) {
      var entry = new AccessControlEntry("User:nobody", "*", AclOperation.READ, AclPermissionType.DENY);
      var binding = new AclBinding(new ResourcePattern(ResourceType.TOPIC, "java-acl-", PatternType.PREFIXED), entry);
      admin.createAcls(List.of(binding)).all().get();
      Data.eventually(() -> List.copyOf(admin.describeAcls(binding.toFilter()).values().get()), List.of(binding));
      Data.check(List.copyOf(admin.deleteAcls(List.of(binding.toFilter())).all().get()).equals(List.of(binding)), "deleted");
      Data.eventually(() -> admin.describeAcls(AclBindingFilter.ANY).values().get().contains(binding), false);
    }
  }
}
