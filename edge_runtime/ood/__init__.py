"""The out-of-distribution check: is an image similar to the images of the training set?"""
