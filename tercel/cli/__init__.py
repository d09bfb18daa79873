"""The command line: finds an application, then serves it or prints what Tercel made of it. Start with `tercel.cli.main`."""
