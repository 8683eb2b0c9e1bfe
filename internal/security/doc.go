// Package security reads what Kafka's security properties name, for the broker and for clients.
//
// Owns: stores of certificates (PEM, PKCS12) and the text of sasl.jaas.config.
//
// Promises: what is wrong is said with the name of the property, and never shows a password or a key.
//
// Must not know: who reads it, connections, protocols.
//
// Called by: broker, broker/internal/auth, internal/kafka. Goroutines and locks: none.
//
// Tested by: tables of texts; broker/internal/auth's tests of keystores.
package security
