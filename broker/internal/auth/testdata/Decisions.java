// Writes decisions.txt: random ACLs, and what Apache Kafka's own StandardAuthorizer says of random questions. Run it with the
// class path of a Kafka broker: java -cp 'libs/*' Decisions.java SETS QUESTIONS > decisions.txt
import java.net.InetAddress;
import java.util.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.metrics.internals.PluginMetricsImpl;
import org.apache.kafka.common.resource.*;
import org.apache.kafka.common.security.auth.*;
import org.apache.kafka.metadata.authorizer.*;
import org.apache.kafka.server.authorizer.*;

public class Decisions {
    static final Random random = new Random(1);
    static final String[] NAMES = {"a", "ab", "abc", "b", "ba", "*", "hardcode"}, USERS = {"x", "y", "ANONYMOUS"}, HOSTS = {"10.0.0.1", "10.0.0.2"};
    static final ResourceType[] TYPES = {ResourceType.TOPIC, ResourceType.GROUP};
    static final AclOperation[] OPERATIONS = {AclOperation.READ, AclOperation.WRITE, AclOperation.CREATE, AclOperation.DELETE, AclOperation.ALTER,
        AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS, AclOperation.ALTER_CONFIGS};

    static <T> T any(T[] of) { return of[random.nextInt(of.length)]; }

    public static void main(String[] args) throws Exception {
        for (int i = 0; i < Integer.parseInt(args[0]); i++) set(Integer.parseInt(args[1]));
    }

    static void set(int questions) throws Exception {
        boolean everyone = random.nextInt(4) == 0;
        String superUser = random.nextInt(8) == 0 ? "User:x" : "User:root";
        StandardAuthorizer authorizer = new StandardAuthorizer();
        authorizer.configure(Map.of("super.users", superUser, "allow.everyone.if.no.acl.found", String.valueOf(everyone), "node.id", "1"));
        authorizer.withPluginMetrics(new PluginMetricsImpl(new Metrics(), Map.of()));
        System.out.println("set " + everyone + " " + superUser);
        Map<Uuid, StandardAcl> acls = new HashMap<>();
        for (int i = random.nextInt(10); i > 0; i--) {
            StandardAcl acl = new StandardAcl(any(TYPES), any(NAMES), random.nextBoolean() ? PatternType.LITERAL : PatternType.PREFIXED,
                random.nextInt(4) == 0 ? "User:*" : "User:" + any(USERS), random.nextInt(3) == 0 ? any(HOSTS) : "*",
                random.nextInt(6) == 0 ? AclOperation.ALL : any(OPERATIONS), random.nextInt(3) == 0 ? AclPermissionType.DENY : AclPermissionType.ALLOW);
            if (acls.containsValue(acl)) continue;
            acls.put(Uuid.randomUuid(), acl);
            System.out.println("acl " + acl.permissionType().toString().toLowerCase() + " " + acl.principal() + " " + acl.host() + " " + acl.operation() + " "
                + acl.resourceType() + " " + acl.patternType().toString().toLowerCase() + " " + acl.resourceName());
        }
        authorizer.loadSnapshot(acls);
        authorizer.completeInitialLoad();
        for (int i = 0; i < questions; i++) {
            Context who = new Context(new KafkaPrincipal("User", any(USERS)), any(HOSTS));
            AclOperation op = any(OPERATIONS);
            ResourceType type = any(TYPES);
            if (i % 4 == 3) {
                answer("any", who, op, type, "", authorizer.authorizeByResourceType(who, op, type));
                continue;
            }
            String name = any(NAMES);
            Action action = new Action(op, new ResourcePattern(type, name, PatternType.LITERAL), 1, false, false);
            answer("ask", who, op, type, " " + name, authorizer.authorize(who, List.of(action)).get(0));
        }
        authorizer.close();
    }

    static void answer(String kind, Context who, AclOperation op, ResourceType type, String name, AuthorizationResult result) {
        System.out.println(kind + " " + (result == AuthorizationResult.ALLOWED) + " " + who.principal + " " + who.host + " " + op + " " + type + name);
    }

    record Context(KafkaPrincipal principal, String host) implements AuthorizableRequestContext {
        public String listenerName() { return "l"; }
        public SecurityProtocol securityProtocol() { return SecurityProtocol.PLAINTEXT; }
        public InetAddress clientAddress() {
            try { return InetAddress.getByName(host); } catch (Exception e) { throw new RuntimeException(e); }
        }
        public int requestType() { return 0; }
        public int requestVersion() { return 0; }
        public String clientId() { return ""; }
        public int correlationId() { return 0; }
    }
}
