# An echo server of Perl's Protocol::WebSocket, for hixie-76 and hixie-75 alike. Its 101 to the latter does not have the
# reason that the drafts require, so a strict client refuses it.
use strict;
use warnings;
use IO::Socket::INET;
use Protocol::WebSocket::Handshake::Server;

my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 5) or die;
$| = 1;
print "listening ", $listener->sockport, "\n";
while (my $socket = $listener->accept) {
    my $handshake = Protocol::WebSocket::Handshake::Server->new;
    until ($handshake->is_done) {
        sysread($socket, my $bytes, 65536) or last;
        $handshake->parse($bytes) or last;
    }
    my $subprotocol = $handshake->req->subprotocol;
    $handshake->res->subprotocol('amqp') if defined $subprotocol and $subprotocol eq 'amqp';
    print "version ", $handshake->version, "\n";
    syswrite($socket, $handshake->to_string);
    my $frames = $handshake->build_frame;
    my $open = 1;
    while ($open and sysread($socket, my $bytes, 65536)) {
        $frames->append($bytes);
        while (defined(my $message = $frames->next_bytes)) {
            $open = not $frames->is_close;
            my %reply = $open ? (buffer => $message) : (type => 'close');
            my $reply = $handshake->build_frame(%reply)->to_bytes;
            my $sent = 0;
            $sent += syswrite($socket, $reply, length($reply) - $sent, $sent) while $sent < length $reply;
            last unless $open;
        }
    }
    print $open ? "ended\n" : "closed\n";
    close $socket;
}
