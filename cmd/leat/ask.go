package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// sure asks before something that cannot be undone, if somebody is there to answer: at a terminal. yes is the answer given
// beforehand.
func sure(std stdio, yes bool, question string) error {
	if yes || !isTerminal(std.in) {
		return nil
	}
	fmt.Fprintf(std.err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(std.in).ReadString('\n')
	if err == nil && strings.EqualFold(strings.TrimSpace(answer), "y") {
		return nil
	}
	return &exitError{exitRuntime, fmt.Errorf("nothing was done")}
}

// isTerminal tells whether one of the standard streams is one.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
