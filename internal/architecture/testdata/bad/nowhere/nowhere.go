package nowhere // want layer
