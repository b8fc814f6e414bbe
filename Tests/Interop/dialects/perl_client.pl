# A client of Perl's Protocol::WebSocket. Arguments: hixie-75 or hixie-76, the URL, a subprotocol or nothing.
# Sends the messages that standard input has as a JSON array, one after the other's echo, and prints what came as JSON.
use strict;
use warnings;
use IO::Socket::INET;
use JSON::PP;
use Protocol::WebSocket::Handshake::Client;
use Protocol::WebSocket::URL;

my ($dialect, $url, $subprotocol) = @ARGV;
my $version = $dialect eq 'hixie-75' ? 'draft-hixie-75' : 'draft-ietf-hybi-00';
my $messages = decode_json(do { local $/; <STDIN> });
my $parsed = Protocol::WebSocket::URL->new->parse($url);
my $socket = IO::Socket::INET->new(PeerAddr => $parsed->host, PeerPort => $parsed->port) or die "no connection: $!";

my $handshake = Protocol::WebSocket::Handshake::Client->new(url => $url, version => $version);
$handshake->req->origin('http://desk.example');
$handshake->req->subprotocol($subprotocol) if defined $subprotocol && length $subprotocol;

sub put {
    my $bytes = shift;
    while (length $bytes) {
        my $count = syswrite($socket, $bytes) // die "cannot write: $!";
        substr($bytes, 0, $count, '');
    }
}

put($handshake->to_string);
my $buffer = '';
until ($handshake->is_done) {
    sysread($socket, $buffer, 65536, length $buffer) or die 'the server ended during the handshake';
    $handshake->parse($buffer) or die 'handshake: ' . $handshake->error;
}
my $frame = $handshake->build_frame;
$frame->append($buffer);
my $clean = JSON::PP::false;

# The next message as bytes; nothing at the end of the stream.
sub get {
    while (1) {
        my $bytes = $frame->next_bytes;
        return $bytes if defined $bytes;
        sysread($socket, my $chunk, 65536) or return;
        $frame->append($chunk);
    }
}

my @echoes;
for my $message (@$messages) {
    # The module takes characters and writes UTF-8.
    utf8::upgrade($message);
    put($handshake->build_frame(buffer => $message, masked => 0)->to_bytes);
    my $echo = get() // die 'the server ended instead of an echo';
    utf8::decode($echo);
    push @echoes, $echo;
}
if ($dialect eq 'hixie-76') {
    put($handshake->build_frame(type => 'close', masked => 0)->to_bytes);
    get();
    $clean = JSON::PP::true if $frame->is_close;
}
close $socket;
print encode_json({messages => \@echoes, subprotocol => $handshake->res->subprotocol, clean => $clean}), "\n";
