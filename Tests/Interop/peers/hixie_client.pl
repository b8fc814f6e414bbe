# A client of Perl's Protocol::WebSocket: PORT VERSION. Sends messages, compares the echo, closes, says `same`.
use strict;
use warnings;
use IO::Socket::INET;
use Protocol::WebSocket::Handshake::Client;

my ($port, $version) = @ARGV;
my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die;
my $handshake = Protocol::WebSocket::Handshake::Client->new(url => "ws://127.0.0.1:$port/echo", version => $version);
syswrite($socket, $handshake->to_string);
until ($handshake->is_done) {
    sysread($socket, my $bytes, 65536) or die 'no answer';
    $handshake->parse($bytes) or die $handshake->error;
}
my $frames = $handshake->build_frame;
for my $message ('hello', "Gr\xc3\xbc\xc3\x9fe", '', 'x' x 65536) {
    my $frame = $handshake->build_frame(buffer => $message)->to_bytes;
    my $sent = 0;
    $sent += syswrite($socket, $frame, length($frame) - $sent, $sent) while $sent < length $frame;
    my $echo;
    until (defined($echo = $frames->next_bytes)) {
        sysread($socket, my $bytes, 65536) or die 'the stream has ended';
        $frames->append($bytes);
    }
    die 'the echo differs' unless $echo eq $message;
}
if ($version ne 'draft-hixie-75') {
    syswrite($socket, $handshake->build_frame(type => 'close')->to_bytes);
    my $rest = '';
    while (sysread($socket, my $bytes, 65536)) { $rest .= $bytes }
    die 'the closing frame is not answered' unless $rest eq "\xff\x00";
}
print "same\n";
