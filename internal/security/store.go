package security

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"
)

// Store is where certificates are, as Kafka's ssl.keystore.* and ssl.truststore.* say.
type Store struct {
	What         string // ssl.keystore or ssl.truststore, for errors
	Type         string // PEM, PKCS12, JKS; empty: as the file looks
	Location     string
	Password     string // of the file
	Certificates string // PEM, instead of a file
	Key          string // PEM, PKCS#8
	KeyPassword  string
}

// storeMax bounds what is read of a file.
const storeMax = 4 << 20

// Pair is the certificate of a keystore, with its key.
func (s Store) Pair() (tls.Certificate, error) {
	text := []byte(s.Key + "\n" + s.Certificates)
	if s.Certificates == "" {
		b, kind, err := s.read()
		if err != nil {
			return tls.Certificate{}, err
		}
		if kind == "PKCS12" {
			return s.pkcs12Pair(b)
		}
		text = b
	}
	key, err := s.privateKey(text)
	if err != nil {
		return tls.Certificate{}, s.wrong(err)
	}
	pair, err := tls.X509KeyPair(text, key)
	if err != nil {
		return tls.Certificate{}, s.wrong(err)
	}
	return pair, nil
}

func (s Store) pkcs12Pair(b []byte) (tls.Certificate, error) {
	key, cert, more, err := pkcs12.DecodeChain(b, s.Password)
	if err != nil {
		return tls.Certificate{}, s.wrong(err)
	}
	pair := tls.Certificate{PrivateKey: key, Certificate: [][]byte{cert.Raw}, Leaf: cert}
	for _, c := range more {
		pair.Certificate = append(pair.Certificate, c.Raw)
	}
	return pair, nil
}

// privateKey finds the key in PEM and opens it if it is encrypted.
func (s Store) privateKey(text []byte) ([]byte, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY":
			key, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes, []byte(s.KeyPassword))
			if err != nil {
				return nil, errors.New("the private key cannot be opened with ssl.key.password, or its encryption is an old one (openssl pkcs8 -topk8 -v2 aes-256-cbc writes it anew)")
			}
			der, err := x509.MarshalPKCS8PrivateKey(key)
			return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return pem.EncodeToMemory(block), nil
		}
	}
	return nil, errors.New("there is no private key in it")
}

// Trusted are the certificates of a truststore.
func (s Store) Trusted() ([]*x509.Certificate, error) {
	text := []byte(s.Certificates)
	if s.Certificates == "" {
		b, kind, err := s.read()
		if err != nil {
			return nil, err
		}
		if kind == "PKCS12" {
			certs, err := pkcs12.DecodeTrustStore(b, s.Password)
			if err != nil {
				return nil, s.wrong(err)
			}
			return certs, nil
		}
		text = b
	}
	var out []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, s.wrong(err)
		}
		out = append(out, cert)
	}
	if len(out) == 0 {
		return nil, s.wrong(errors.New("there is no certificate in it"))
	}
	return out, nil
}

// read reads the file, and tells whether it is PEM or PKCS12. JKS is Java's own.
func (s Store) read() ([]byte, string, error) {
	if s.Location == "" {
		return nil, "", fmt.Errorf("%s.location is not set: name a PEM file", s.What)
	}
	info, err := os.Stat(s.Location)
	if err != nil {
		return nil, "", s.wrong(err)
	}
	if info.Size() > storeMax {
		return nil, "", s.wrong(fmt.Errorf("it has %d bytes, which no such file has", info.Size()))
	}
	b, err := os.ReadFile(s.Location)
	if err != nil {
		return nil, "", s.wrong(err)
	}
	looks := ""
	switch {
	case bytes.Contains(b, []byte("-----BEGIN ")):
		looks = "PEM"
	case bytes.HasPrefix(b, []byte{0xfe, 0xed, 0xfe, 0xed}), bytes.HasPrefix(b, []byte{0xce, 0xce, 0xce, 0xce}):
		looks = "JKS"
	case bytes.HasPrefix(b, []byte{0x30}): // an ASN.1 sequence
		looks = "PKCS12"
	}
	switch {
	case looks == "":
		return nil, "", s.wrong(errors.New("it is neither PEM, which has lines of -----BEGIN …-----, nor PKCS12"))
	case looks == "JKS":
		return nil, "", fmt.Errorf("%s is a JKS, which only Java reads; convert it: keytool -importkeystore -srckeystore %s -destkeystore new.p12 -deststoretype PKCS12", s.Location, s.Location)
	case s.Type != "" && s.Type != looks && s.Type != "JKS": // JKS is Java's word for whatever it finds there
		return nil, "", s.wrong(fmt.Errorf("it is %s, but %s.type says %s", looks, s.What, s.Type))
	}
	return b, looks, nil
}

func (s Store) wrong(err error) error {
	if s.Location == "" {
		return fmt.Errorf("%s: %w", s.What, err)
	}
	return fmt.Errorf("%s %s: %w", s.What, s.Location, err)
}
