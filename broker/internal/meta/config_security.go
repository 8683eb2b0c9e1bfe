package meta

// securityConfigs are the configurations of brokers about who may connect and what clients may do.
var securityConfigs = []Def{
	{Name: "allow.everyone.if.no.acl.found", Type: Bool, Default: "false", Doc: "Whether a resource that no ACL is about is open to everybody."},
	{Name: "authorizer.class.name", Type: String, Doc: "StandardAuthorizer, also by Kafka's full name: clients may do what ACLs allow. Empty: everything."},
	{Name: "super.users", Type: String, Doc: "Who may do everything whatever ACLs say: User:alice;User:bob."},
}
