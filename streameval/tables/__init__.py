"""Tables of any kind as rows of features with targets: files, frames, folders of images, streams of batches."""
