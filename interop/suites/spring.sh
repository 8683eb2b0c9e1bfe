# Spring Boot with @KafkaListener.
"${jvm[@]}" -cp "$work/java/spring/target/classes:$work/java/spring/target/jars/*" interop.App --spring.kafka.bootstrap-servers="$boot"
