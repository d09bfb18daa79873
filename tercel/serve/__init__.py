"""Protocol <-> exchange: matching, calling the handler, answering exceptions, whatever server is underneath."""
