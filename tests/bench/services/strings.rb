# A service in Ruby: each request builds strings and keeps a few of them.
#   ruby strings.rb PORT
# A connection is one request: a line with the number of strings; the answer is a line.  "live" is answered with the
# highest sum of bytes that ObjectSpace knows of at the end of a request.
require 'socket'
require 'objspace'

kept = []
live = 0
measures = ENV['MEASURE_LIVE'] == '1'
server = TCPServer.new('127.0.0.1', Integer(ARGV[0]))
server.listen(64)
loop do
  Thread.new(server.accept) do |socket|
    word = socket.gets.to_s.strip
    if word == 'live'
      socket.puts(live)
    else
      made = Array.new(word.to_i) { |i| 'x' * (500 + i * 7919 % 30_000) }
      live = [live, ObjectSpace.memsize_of_all].max if measures
      kept << made[0]
      kept.shift if kept.size > 64
      socket.puts("done #{made.sum(&:bytesize)}")
    end
    socket.close
  rescue SystemCallError
    nil
  end
end
