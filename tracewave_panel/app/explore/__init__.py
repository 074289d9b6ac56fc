"""What the Explore page does on the server: asking on threads, and answers as pages and files want them."""
