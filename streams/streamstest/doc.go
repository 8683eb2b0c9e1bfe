// Package streamstest runs the tests that pipelines carry in their YAML, without a broker.
//
// Owns: feeding a test's records through the compiled steps and comparing what comes out.
//
// Promises: the same steps run as in production; a difference is shown at the line that expects something else.
// Outputs are compared in order for each topic that a test names, by the members that it lists, or by all with
// `exact: true`.
//
// Must not know: Kafka, files.
//
// Called by: `leat test`, and by a test over every folder of pipelines/.
package streamstest
