package frames

// What an unreachable message says, by version.
type unreachable struct{ typ4, code4, typ6, code6 uint8 }

var (
	prohibited = unreachable{3, 13, 1, 1}
	noPort     = unreachable{3, 3, 1, 4}
)

// maxQuoted is how much of a packet its error message quotes: no answer is
// longer than what the smallest link takes.
const maxQuoted = 512

// Quote keeps of a packet what an error message about it needs.
func (p Packet) Quote() Packet {
	p.IP = append([]byte(nil), p.IP[:min(len(p.IP), maxQuoted)]...)
	p.Payload = nil
	return p
}

// Prohibited is the message that p was refused by whoever runs this network.
func (p Packet) Prohibited() []byte { return p.unreachable(prohibited) }

// NoPort is the message that nobody listens where p was sent.
func (p Packet) NoPort() []byte { return p.unreachable(noPort) }

func (p Packet) unreachable(u unreachable) []byte {
	body := append(make([]byte, 4), p.IP[:min(len(p.IP), maxQuoted)]...)
	if p.Src.Is6() {
		return p.Back().ICMP(u.typ6, u.code6, body)
	}
	return p.Back().ICMP(u.typ4, u.code4, body)
}
