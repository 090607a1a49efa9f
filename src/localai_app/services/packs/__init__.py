"""Runtime packs: back ends that are downloaded for the cards that gain from them, checked, tried out and put to use."""
