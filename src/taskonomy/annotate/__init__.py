"""Ground truth of every domain from an image, its geometry and its camera."""

import cv2

# Labels are computed by many processes at once; threads within each would only compete for cores, and one thread gives the same bits everywhere.
cv2.setNumThreads(1)
