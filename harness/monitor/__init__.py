"""New pictures held against those that the champion was trained on: drift, strange pictures, copies."""
