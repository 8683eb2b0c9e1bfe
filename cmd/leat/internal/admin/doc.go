// Package admin asks a cluster the questions that more than one command has.
//
// Owns: groups of both protocols with members, offsets and lag as one kind of answer; where a group's offsets would move;
// configurations with their sources and documentation.
//
// Promises: answers are sorted; what a cluster does not know is an error, never a missing row; planning changes nothing.
//
// Must not know: flags, tables, exit codes; who asks prints.
//
// Called by: leat's own commands and package apache. Goroutines and locks: none.
//
// Tested by: the scripts of cmd/leat, against a broker; the arithmetic of offsets by itself.
package admin
