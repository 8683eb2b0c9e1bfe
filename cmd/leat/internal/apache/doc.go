// Package apache is Kafka's own command line tools: kafka-topics, kafka-console-producer, kafka-console-consumer,
// kafka-consumer-groups and kafka-configs.
//
// Owns: their flags, retired ones included, their output and their exit codes, so that what an introduction to Kafka or a
// script says can be typed as it is.
//
// Promises: output that programs read has Apache's form, on the stream on which Apache prints it (which for many errors is
// stdout); errors that people read say more. 0 is success and 1 everything else, except where Apache's tool gives 0 after an
// error (kafka-consumer-groups does). A record that could not be sent is an error, though Apache only logs it.
//
// Must not know: leat's own commands; how one authenticates (its caller makes client options of properties).
//
// Called by: cmd/leat, when it is called by the name of a tool. Goroutines and locks: none.
//
// Tested by: the scripts apache_*.txtar of cmd/leat, whose expectations were taken from the real tools (4.3.1).
package apache
