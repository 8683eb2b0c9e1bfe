package interop;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.NewTopic;
import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.config.TopicBuilder;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.messaging.handler.annotation.Header;
import org.springframework.kafka.support.KafkaHeaders;

/** Spring declares the topic, sends with a template and gets it back by a listener: every record once. */
@SpringBootApplication
public class App {
  static final int RECORDS = 1000;
  static final String TOPIC = "spring";
  final Map<String, String> got = new ConcurrentHashMap<>();
  final CountDownLatch all = new CountDownLatch(RECORDS);

  public static void main(String[] args) {
    try (var context = SpringApplication.run(App.class, args)) {
      System.out.println("ok: spring");
    }
  }

  @Bean
  NewTopic topic() {
    return TopicBuilder.name(TOPIC).partitions(3).build();
  }

  @KafkaListener(id = "spring-group", topics = TOPIC, concurrency = "2")
  void listen(String value, @Header(KafkaHeaders.RECEIVED_KEY) String key) {
    if (got.put(key, value) != null) throw new IllegalStateException(key + " came twice");
    all.countDown();
  }

  @Bean
  CommandLineRunner send(KafkaTemplate<String, String> template) {
    return args -> {
      for (int i = 0; i < RECORDS; i++) template.send(TOPIC, "key-" + i, "value-" + i).get(30, TimeUnit.SECONDS);
      if (!all.await(60, TimeUnit.SECONDS)) throw new IllegalStateException(got.size() + " records of " + RECORDS);
      for (int i = 0; i < RECORDS; i++) {
        if (!("value-" + i).equals(got.get("key-" + i))) throw new IllegalStateException("key-" + i + " is " + got.get("key-" + i));
      }
    };
  }
}
