// Command interop runs Go clients against a broker and checks every record: interop BOOTSTRAP PART...
package main

import (
	"fmt"
	"os"
)

var parts = map[string]func(boot string) error{
	"franz-go":        franz,
	"franz-go-next":   franzNext,
	"franz-go-txn":    franzTxn,
	"franz-go-admin":  franzAdmin,
	"sarama":          saramaAll,
	"sarama-txn":      saramaTxn,
	"kafka-go":        segmentio,
	"franz-go-secure": franzSecure,
	"sarama-secure":   saramaSecure,
	"kafka-go-secure": segmentioSecure,
	"everybody":       crossRead,
	"everybody-txn":   crossCommitted,
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "interop BOOTSTRAP PART...")
		os.Exit(2)
	}
	for _, part := range os.Args[2:] {
		run := parts[part]
		if run == nil {
			fmt.Fprintln(os.Stderr, "no part", part)
			os.Exit(2)
		}
		if err := run(os.Args[1]); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", part, err)
			os.Exit(1)
		}
		fmt.Println("ok:", part)
	}
}
