import java.util.LinkedHashMap;
import java.util.Map;

/** Runs parts with the Java client: Main BOOTSTRAP PART... */
class Main {
  interface Part {
    void run(String boot) throws Exception;
  }

  public static void main(String[] args) throws Exception {
    Map<String, Part> parts = new LinkedHashMap<>();
    parts.put("java", RoundTrip::classic);
    parts.put("java-next", RoundTrip::next);
    parts.put("java-admin", AdminCalls::run);
    parts.put("java-delete-records", AdminCalls::deleteRecords);
    parts.put("java-cluster", ClusterCalls::run);
    parts.put("java-quotas", ClusterCalls::quotas);
    parts.put("java-scram", SecurityCalls::scram);
    parts.put("java-acls", SecurityCalls::acls);
    parts.put("java-txn", Transactions::run);
    parts.put("java-txn-admin", Transactions::admin);
    parts.put("java-streams", Streams::run);
    for (int i = 1; i < args.length; i++) {
      parts.get(args[i]).run(args[0]);
      System.out.println("ok: " + args[i]);
    }
  }
}
