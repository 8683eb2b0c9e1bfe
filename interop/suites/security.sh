# SCRAM users and ACLs by Apache's tools, and every client over TLS as a user who may do some things only.
b="--bootstrap-server $boot"
s="--bootstrap-server $secure"
user() { # name, password: how Kafka's tools come in
  cat <<P
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="$1" password="$2";
ssl.truststore.type=PEM
ssl.truststore.location=$INTEROP_CA
P
}
user alice alice-secret >"$work/alice"
user bob bob-secret >"$work/bob"
user alice wrong >"$work/wrong"
topic secure; topic forbidden; topic open
for u in alice bob; do
  kafka-configs $b --alter --entity-type users --entity-name $u --add-config "SCRAM-SHA-256=[iterations=8192,password=$u-secret]" >/dev/null
  kafka-configs $b --alter --entity-type users --entity-name $u --add-config "SCRAM-SHA-512=[password=$u-secret]" >/dev/null
done
has "users are described" 'alice.*SCRAM-SHA-256=iterations=8192' "$(kafka-configs $b --describe --entity-type users --entity-name alice)"

acls() { kafka-acls $b "$@" >/dev/null; }
acls --add --allow-principal User:bob --operation All --topic forbidden
acls --add --allow-principal User:alice --producer --topic secure
has "ACLs are listed" 'principal=User:alice, host=\*, operation=WRITE, permissionType=ALLOW' "$(kafka-acls $b --list --topic secure)"
seq 1 3 | kafka-console-producer $s --topic secure --command-config "$work/alice" --command-property enable.idempotence=true
consume() { kafka-console-consumer $s --command-config "$work/alice" --topic "$1" --group "$2" --from-beginning --max-messages 3 --timeout-ms 15000 2>&1 || true; }
has "she may write and not read" 'TopicAuthorizationException|GroupAuthorizationException|Not authorized' "$(consume secure secure-tools)"
acls --add --allow-principal User:alice --consumer --topic secure --group secure- --resource-pattern-type prefixed
has "a prefix is not the name" 'resourceType=TOPIC, name=secure, patternType=PREFIXED' "$(kafka-acls $b --list --principal User:alice)"
has "now she may read" '^3$' "$(consume secure secure-tools)"
acls --add --allow-principal User:bob --consumer --topic secure --group bobs
has "another group is forbidden" 'GroupAuthorizationException|Not authorized to access group' "$(consume secure bobs)"
has "another topic is forbidden" 'TopicAuthorizationException|Not authorized to access topics' "$(echo no | kafka-console-producer $s --topic forbidden --command-config "$work/alice" 2>&1)"
has "a wrong password" 'SaslAuthenticationException|Authentication failed' "$(timeout 30 kafka-topics $s --command-config "$work/wrong" --list 2>&1 || true)"
same "she sees what she may" "open secure" "$(kafka-topics $s --command-config "$work/alice" --list --exclude-internal | grep -xE 'secure|forbidden|open' | tr '\n' ' ' | sed 's/ $//')"
acls --add --deny-principal User:alice --operation Describe --topic open
same "a denial hides" "secure" "$(kafka-topics $s --command-config "$work/alice" --list --exclude-internal | grep -xE 'secure|forbidden|open' | tr '\n' ' ' | sed 's/ $//')"

export INTEROP_CA
clients "$secure" franz-go-secure sarama-secure kafka-go-secure
node "$work/node/kafkajs.js" "$secure" kafkajs-secure
node "$work/node/platformatic.js" "$secure" platformatic-secure
$work/venv/bin/python python/librdkafka.py "$secure" librdkafka-secure 2>"$work/librdkafka.log" || fail "$(cat "$work/librdkafka.log")"
$work/venv/bin/python python/kafkapython.py "$secure" kafka-python-secure
$work/venv/bin/python python/aio.py "$secure" aiokafka-secure
java_part java-scram java-acls

acls --remove --force --deny-principal User:alice --operation Describe --topic open
acls --remove --force --topic secure --resource-pattern-type match
acls --remove --force --topic forbidden
acls --remove --force --group bobs
acls --remove --force --group secure- --resource-pattern-type prefixed
same "no ACL is left" "" "$(kafka-acls $b --list | grep -E 'alice|bob' || true)"
kafka-configs $b --alter --entity-type users --entity-name alice --delete-config SCRAM-SHA-512 >/dev/null
has "a deleted user stays out" 'SaslAuthenticationException|Authentication failed' "$(timeout 30 kafka-topics $s --command-config "$work/alice" --list 2>&1 || true)"
