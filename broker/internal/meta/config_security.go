package meta

import (
	"cmp"
	"slices"
	"strings"
)

// securityConfigs are the configurations of brokers about who may connect and what clients may do.
var securityConfigs = []Def{
	{Name: "allow.everyone.if.no.acl.found", Type: Bool, Default: "false", Doc: "Whether a resource that no ACL is about is open to everybody."},
	{Name: "allow.plain.without.tls", Type: Bool, Default: "false", Doc: "Whether clients on other machines may send passwords that everybody on the way can read (SASL PLAIN without TLS)."},
	{Name: "authorizer.class.name", Type: String, Doc: "StandardAuthorizer, also by Kafka's full name: clients may do what ACLs allow. Empty: everything."},
	{Name: "connection.failed.authentication.delay.ms", Type: Int, Default: "100", Doc: "How long a client that could not prove who it is waits for the answer."},
	{Name: "connections.max.reauth.ms", Type: Long, Default: "0", Doc: "After how long a client must prove again who it is; 0: never, if its proof does not expire."},
	{Name: "controller.listener.names", Type: List, Default: "CONTROLLER", Doc: "Listeners of the controller, which has none here: they are left out."},
	{Name: "inter.broker.listener.name", Type: String, NoValue: true, Doc: "The listener that other brokers use."},
	{Name: "listener.security.protocol.map", Type: List, Default: "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", Doc: "Which protocol listeners speak, NAME:PROTOCOL,…"},
	{Name: "sasl.enabled.mechanisms", Type: List, NoValue: true, Doc: "How clients prove who they are: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER."},
	{Name: "sasl.jaas.config", Type: Password, NoValue: true, Doc: "Users and passwords of PLAIN: org.apache.kafka.common.security.plain.PlainLoginModule required user_NAME=\"PASSWORD\" …;"},
	{Name: "sasl.oauthbearer.clock.skew.seconds", Type: Int, Default: "30", Doc: "How far the clocks of this machine and of the issuer of tokens may be apart."},
	{Name: "sasl.oauthbearer.expected.audience", Type: List, NoValue: true, Doc: "For whom tokens must be made: one of these."},
	{Name: "sasl.oauthbearer.expected.issuer", Type: String, NoValue: true, Doc: "Who must have made tokens."},
	{Name: "sasl.oauthbearer.jwks.endpoint.url", Type: String, NoValue: true, Doc: "Where the keys are that tokens are signed with."},
	{Name: "sasl.oauthbearer.sub.claim.name", Type: String, Default: "sub", Doc: "Which claim of a token is the user's name."},
	{Name: "security.inter.broker.protocol", Type: String, NoValue: true, Choices: securityProtocols, Doc: "The protocol between brokers."},
	{Name: "ssl.cipher.suites", Type: List, NoValue: true, Doc: "The cipher suites of TLS 1.2; empty: those that are secure."},
	{Name: "ssl.client.auth", Type: String, Default: "none", Choices: []string{"required", "requested", "none"}, Doc: "Whether clients show a certificate."},
	{Name: "ssl.enabled.protocols", Type: List, Default: "TLSv1.2,TLSv1.3", Choices: []string{"TLSv1.2", "TLSv1.3"}, Doc: "The versions of TLS."},
	{Name: "ssl.key.password", Type: Password, NoValue: true, Doc: "The password of the private key."},
	{Name: "ssl.keystore.certificate.chain", Type: Password, NoValue: true, Doc: "The certificate and those that signed it, PEM, instead of a file."},
	{Name: "ssl.keystore.key", Type: Password, NoValue: true, Doc: "The private key, PEM, instead of a file."},
	{Name: "ssl.keystore.location", Type: String, NoValue: true, Doc: "The file with certificate and private key, PEM or PKCS12."},
	{Name: "ssl.keystore.password", Type: Password, NoValue: true, Doc: "The password of the file."},
	{Name: "ssl.keystore.type", Type: String, NoValue: true, Choices: storeTypes, Doc: "What the file is; left out: as it looks."},
	{Name: "ssl.principal.mapping.rules", Type: String, Default: "DEFAULT", Doc: "What the names of users are made of a certificate's subject: RULE:pattern/replacement/[LU],…,DEFAULT."},
	{Name: "ssl.truststore.certificates", Type: Password, NoValue: true, Doc: "Certificates that sign clients', PEM, instead of a file."},
	{Name: "ssl.truststore.location", Type: String, NoValue: true, Doc: "The file with the certificates that sign clients', PEM or PKCS12."},
	{Name: "ssl.truststore.password", Type: Password, NoValue: true, Doc: "The password of the file."},
	{Name: "ssl.truststore.type", Type: String, NoValue: true, Choices: storeTypes, Doc: "What the file is; left out: as it looks."},
	{Name: "super.users", Type: String, Doc: "Who may do everything whatever ACLs say: User:alice;User:bob."},
}

var (
	securityProtocols = []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}
	storeTypes        = []string{"PEM", "PKCS12", "JKS"}
)

// listenerPrefix begins configurations of one listener, and perhaps of one SASL mechanism:
// listener.name.LISTENER.[MECHANISM.]NAME, the first two in lower case.
const listenerPrefix = "listener.name."

// listenerDef finds the configuration that name is about if it is one of a listener. Only those of securityConfigs have an
// effect for a listener by itself.
func listenerDef(name string) (*Def, bool) {
	rest, ok := strings.CutPrefix(name, listenerPrefix)
	if !ok {
		return nil, false
	}
	for ; ok; _, rest, ok = strings.Cut(rest, ".") {
		if d := cmp.Or(brokerTable[rest], withoutEffect[rest]); d != nil {
			return d, true
		}
	}
	return nil, true
}

func (d *Def) forListeners() bool {
	return slices.ContainsFunc(securityConfigs, func(s Def) bool { return s.Name == d.Name })
}

// OfListener is a configuration that was said for one listener; "" where it was not.
func (c *BrokerConfig) OfListener(listener, name string) string {
	return c.static[listenerPrefix+strings.ToLower(listener)+"."+name]
}

// ForListener reads the configurations of a listener and, if mechanism is not empty, of one of its SASL mechanisms: its
// own, or the broker's.
func (c *BrokerConfig) ForListener(listener, mechanism string) Values {
	prefix := listenerPrefix + strings.ToLower(listener) + "."
	return Values{"broker", brokerTable, func(d *Def) string {
		if mechanism != "" {
			if v, ok := c.static[prefix+strings.ToLower(mechanism)+"."+d.Name]; ok {
				return v
			}
		}
		if v, ok := c.static[prefix+d.Name]; ok {
			return v
		}
		return c.effective(d).Value
	}}
}
