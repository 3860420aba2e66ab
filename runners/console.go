package runners

// A ConsoleURL is where Nova sends a browser for a console. The token that Nova
// puts into it is a secret and no part of this.
type ConsoleURL struct {
	Scheme, Host string
	Port         int
}

// A ConsoleOffer is what Nova answers when it is asked for a console: where it
// is, or why there is none.
type ConsoleOffer struct {
	URL ConsoleURL
	// Refusal is Nova's own reason; empty when it made a console.
	Refusal string
	// Status is the HTTP status of the refusal.
	Status int
}

// A ConsoleDoor is where a console proxy connects to for a guest: the address
// that its compute node has told Nova, and the port of the guest's VNC server.
type ConsoleDoor struct {
	Host string
	Port int
}

// A ConsoleCase is a server with everything that OpenStack says of its console.
type ConsoleCase struct {
	Server Server
	// Offer is Nova's answer to a request for a console.
	Offer Maybe[ConsoleOffer]
	// Door is what Nova keeps behind a token that it has just made.
	Door Maybe[ConsoleDoor]
	// Machines are the nodes that control the cloud, as Nova's services are named:
	// the console proxy is no service that Nova lists, and runs on some of them.
	Machines Maybe[[]string]
	// Computes are Nova's compute nodes.
	Computes Maybe[[]string]
	// Beside are the names of the other servers on the server's node.
	Beside Maybe[[]string]
	// PublicTLS says whether the cloud's public endpoints speak TLS.
	PublicTLS Maybe[bool]
}
