"""Do programs in other languages, with the stock libraries of theirs, get through to Storyline?"""
