# Notes kept in memory: GET / lists them, POST / adds the body as one. Plain Perl, nothing to install.
use strict;
use warnings;
use IO::Socket::INET;

my @notes = ("Started with " . ($ENV{GREETING} // 'no greeting'));
my $listener = IO::Socket::INET->new(LocalAddr => '0.0.0.0', LocalPort => $ENV{PORT} || 8080, Listen => 16, ReuseAddr => 1)
    or die "cannot listen: $@\n";
$| = 1;
print "notes: listening on port ", $listener->sockport, "\n";
while (1) {
    my $client = $listener->accept or next;
    eval {
        local $SIG{ALRM} = sub { die "too slow\n" };
        alarm 5;
        my ($method) = (<$client> // '') =~ /^(GET|POST) /;
        my $length = 0;
        while (<$client>) { last if /^\r?\n/; $length = $1 if /^Content-Length: *(\d{1,4})\r?\n/i }
        if (($method // '') eq 'POST') { my $note = ''; read $client, $note, $length; push @notes, $note }
        my $body = join '', map {"$_\n"} @notes;
        print $client "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ", length $body, "\r\nConnection: close\r\n\r\n$body";
    };
    alarm 0;
    close $client;
}
