# An echo server of Perl's Protocol::WebSocket for hixie-75 and hixie-76. Arguments: the subprotocol that it takes, if any.
# The dialect is what the request says. Prints its port, then serves until it is killed.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use Protocol::WebSocket::Frame;
use Protocol::WebSocket::Handshake::Server;

my $wanted = shift @ARGV;
$SIG{PIPE} = 'IGNORE';
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 64, ReuseAddr => 1) or die $!;
$| = 1;
print $listener->sockport, "\n";

my $select = IO::Select->new($listener);
my %connections;

sub drop {
    my $socket = shift;
    $select->remove($socket);
    delete $connections{$socket};
    close $socket;
}

sub put {
    my ($socket, $bytes) = @_;
    while (length $bytes) {
        my $count = syswrite($socket, $bytes) or return;
        substr($bytes, 0, $count, '');
    }
}

while (my @ready = $select->can_read) {
    for my $socket (@ready) {
        if ($socket == $listener) {
            my $accepted = $listener->accept or next;
            $connections{$accepted} = {handshake => Protocol::WebSocket::Handshake::Server->new, unread => ''};
            $select->add($accepted);
            next;
        }
        my $connection = $connections{$socket};
        my $count = sysread($socket, my $chunk, 65536);
        if (!$count) {
            drop($socket);
            next;
        }
        my $handshake = $connection->{handshake};
        if (!$handshake->is_done) {
            # It keeps what follows the handshake in the variable that it is given.
            $connection->{unread} .= $chunk;
            if (!$handshake->parse($connection->{unread})) {
                drop($socket);
                next;
            }
            next unless $handshake->is_done;
            $handshake->res->subprotocol($wanted)
              if defined $wanted && ($handshake->req->subprotocol // '') eq $wanted;
            put($socket, $handshake->to_string);
            $connection->{frame} = $handshake->build_frame;
            $chunk = delete $connection->{unread};
        }
        my $frame = $connection->{frame};
        $frame->append($chunk);
        while (defined(my $message = $frame->next_bytes)) {
            if ($frame->is_close) {
                put($socket, $handshake->build_frame(type => 'close')->to_bytes);
                drop($socket);
                last;
            }
            put($socket, $handshake->build_frame(buffer => $message)->to_bytes);
        }
    }
}
