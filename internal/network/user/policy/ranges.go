package policy

import "net/netip"

// The ranges that are refused. Those for documentation are not among them:
// nobody has them, and tests of networks use them.
var (
	ranges4 = prefixes(
		"0.0.0.0/8",          // this network; Linux takes 0.0.0.0 for itself
		"10.0.0.0/8",         // private
		"100.64.0.0/10",      // a provider's own
		"127.0.0.0/8",        // loopback
		"169.254.0.0/16",     // link-local; clouds keep credentials there
		"172.16.0.0/12",      // private
		"192.0.0.0/24",       // protocols' own
		"192.168.0.0/16",     // private
		"224.0.0.0/4",        // groups
		"255.255.255.255/32", // everybody on the link
		"240.0.0.0/4",        // reserved; some use it as private
	)
	ranges6 = prefixes(
		"::/128", "::1/128",
		"64:ff9b:1::/48", // NAT64 of local use: where it leads nobody can tell
		"fc00::/7",       // private
		"fe80::/10",      // link-local
		"fec0::/10",      // private, of old
		"ff00::/8",       // groups
	)
	// global6 is all that was ever given out for the Internet.
	global6 = netip.MustParsePrefix("2000::/3")
)

// The forms in which an IPv6 address stands for an IPv4 one, and the byte at
// which that begins.
var forms = []struct {
	prefix netip.Prefix
	at     int
	invert bool
}{
	{netip.MustParsePrefix("::/96"), 12, false},           // compatible, of old
	{netip.MustParsePrefix("::ffff:0:0/96"), 12, false},   // mapped
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12, false}, // translated (SIIT)
	{netip.MustParsePrefix("64:ff9b::/96"), 12, false},    // NAT64
	{netip.MustParsePrefix("2002::/16"), 2, false},        // 6to4
	{netip.MustParsePrefix("2001::/32"), 4, false},        // Teredo: its server
	{netip.MustParsePrefix("2001::/32"), 12, true},        // Teredo: the client
}

// embedded returns the IPv4 addresses that an IPv6 address stands for.
func embedded(addr netip.Addr) (inner []netip.Addr) {
	if !addr.Is6() {
		return nil
	}
	b := addr.As16()
	for _, f := range forms {
		if !f.prefix.Contains(addr) {
			continue
		}
		v4 := [4]byte(b[f.at : f.at+4])
		if f.invert {
			for i := range v4 {
				v4[i] = ^v4[i]
			}
		}
		inner = append(inner, netip.AddrFrom4(v4))
	}
	// ISATAP, below any prefix.
	if b[8]&^0x02 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
		inner = append(inner, netip.AddrFrom4([4]byte(b[12:])))
	}
	return inner
}

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}
