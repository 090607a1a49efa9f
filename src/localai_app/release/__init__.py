"""What a publisher signs: releases and runtime packs, as documents that are verified before they are believed."""
