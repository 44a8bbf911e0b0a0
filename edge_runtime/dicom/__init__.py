"""DICOM: objects in, predictions and reports out. Needs the extra ``dicom`` (pydicom, highdicom, pynetdicom).

An object is judged before it is parsed (:mod:`guard`), parsed without a word on stderr (:mod:`dataset`), and its pixels
become an image only if they mean what the model's spec says (:mod:`pixels`).
"""
